"""What is named as a device is one by the registers."""

from tests import seed
from tests.conftest import Api
from tests.registers.test_registers import entered, fat, wash
from tests.specimens.stories import adsc, donor, made, refused
from tests.specimens.test_lots import count


def test_a_shipper_is_no_device_of_a_run_a_count_or_a_culture_and_no_device_a_shipper(api: Api) -> None:
    shipper, syringe = entered(api, "shipper", "DS-40"), fat(api)
    answer = wash(api, syringe, equipment=[shipper])
    assert refused(answer) == (409, "not_in_register")
    assert "is entered as shipper and as no device" in answer.json()["detail"]
    assert refused(count(api, syringe, instrument=shipper)) == (409, "not_in_register")
    grown = adsc(api, donor(api, family_name="Otherworth", external_ids=[]))
    seen = {"what": "looked_at", "vessels": 1, "finding": "as_expected", "incubator": shipper, "expected_seq": grown["seq"]}
    assert refused(api.lab_tech.post(f"/specimens/{grown['code']}/culture", json=seen)) == (409, "not_in_register")
    made(api.lab_tech.post(f"/specimens/{grown['code']}/culture", json=seen | {"incubator": seed.EQUIPMENT}))
