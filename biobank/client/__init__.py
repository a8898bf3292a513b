"""The Python client of the bank's API and the store of receipts that a device keeps.

Speaks HTTP only; knows nothing of the bank's database.
"""

from biobank.client.async_client import AsyncBankClient
from biobank.client.client import BankClient, Refused, Unreachable
from biobank.client.receipts import ReceiptStore

__all__ = ["AsyncBankClient", "BankClient", "ReceiptStore", "Refused", "Unreachable"]
