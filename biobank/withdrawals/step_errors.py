"""What the steps of a withdrawal answer about their tubes and people; `step_rules.py` says when."""

from biobank.foundation.errors import Conflict, NotPermitted


class WrongSpecimen(Conflict):
    """The tube in the hand is not one of this withdrawal's, or not the one that was picked."""

    code = "wrong_specimen"
    title = "Wrong tube"


class AlreadyPicked(Conflict):
    """It was picked for this withdrawal before."""

    code = "already_picked"
    title = "Already picked"


class SecondPersonNeeded(NotPermitted):
    """The one who took the tube out cannot be the one who confirms it."""

    code = "second_person_must_differ"
    title = "A second person is needed"


class AnotherRoute(Conflict):
    """The withdrawal was approved for another way."""

    code = "another_route"
    title = "It goes another way"


class NotAnExpansion(Conflict):
    """The run does not grow all of the withdrawal's cells for treatment; or nothing grows them."""

    code = "not_an_expansion"
    title = "Not a run that grows them"


class NotPicked(Conflict):
    """A tube leaves only when two people have scanned it out of its place."""

    code = "pick_unconfirmed"
    title = "Not picked by two people"


class NotAccepted(Conflict):
    """It is on its way, or a courier holds it: nobody at the place of the act has accepted it."""

    code = "custody_not_accepted"
    title = "Not received here yet"
