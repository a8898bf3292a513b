"""Events sent to other systems: subscriptions, their signing secrets, deliveries and what becomes of them (docs/webhooks.md)."""
