"""Stands in for the generator while there is no run to send for yet: users that come early are counted, not lost."""

from __future__ import annotations

from sm_locust.load.users import ArrivalUser


class Waiting:
    """`environment.generator` before a run begins: a worker's users can be spawned before its order has come."""

    def __init__(self) -> None:
        self.users: dict[type[ArrivalUser], int] = {}

    def add_user(self, user_class: type[ArrivalUser], n: int) -> None:
        self.users[user_class] = self.users.get(user_class, 0) + n
