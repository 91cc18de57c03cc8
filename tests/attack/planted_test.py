#!/usr/bin/env python3
"""Claims and signatures that a client with the right `steps` plants: bounded, checked, and never handed out."""

import concurrent.futures

import attack_support
import e2e_support as e2e
from attack_support import RANDOM, AttackCase, attack_rounds
from service_support import context_of, key_of

OTHER_ADDRESS = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # of private key 2
MOST = 500
HONEST_SLOTS = 1 << 20


def random_hash():
    return "0x" + RANDOM.randbytes(32).hex()


class PlantedTests(AttackCase):
    def setUp(self):
        super().setUp()
        honest, self.honest = self.client("honest", "sign")
        steps, self.steps = self.client("steps", "steps")
        held, self.held = self.client("held", "steps,steps-held-keys")
        other, self.other = self.client("other", "steps")
        self.service = self.serve("--max-open-claims", str(MOST), clients=honest + steps + held + other)

    def claim(self, token, duties):
        return self.service.post("/api/v1/duties/claim", {"duties": duties}, token=token).json["results"]

    def test_claims_that_are_planted_and_left_are_bounded(self):
        planted = 0
        with self.honest_beside(self.service, token=self.honest), concurrent.futures.ThreadPoolExecutor(4) as senders:
            for number in attack_rounds():
                slots = [range(HONEST_SLOTS + (4 * number + sender) * 2_000, HONEST_SLOTS + (4 * number + sender + 1) * 2_000) for sender in range(4)]
                duties = [[{"validator": OTHER_ADDRESS, "messageHash": e2e.HASH, "context": context_of(slot)} for slot in part] for part in slots]
                for results in senders.map(lambda part: self.claim(self.steps, part), duties):
                    made = [result for result in results if "lockToken" in result]
                    planted += len(made)
                    kinds = {result["problem"]["type"].rsplit(":", 1)[1] for result in results if "problem" in result}
                    self.assertLessEqual(kinds, {"too_many_open_claims"})
        self.assertEqual(planted, MOST)
        refused = self.service.post("/api/v1/duties/claim", {"validator": OTHER_ADDRESS, "messageHash": e2e.HASH, "context": context_of(1)}, token=self.steps)
        self.assertEqual((refused.status, refused.kind), (429, "too_many_open_claims"))
        # Another client has its own places.
        self.assertIn("lockToken", self.claim(self.other, [{"validator": OTHER_ADDRESS, "messageHash": e2e.HASH, "context": context_of(2)}])[0])

    def test_keys_that_the_service_holds_need_a_right_of_their_own(self):
        with self.honest_beside(self.service, token=self.honest):
            for number in attack_rounds():
                duties = [{"validator": e2e.ADDRESS, "messageHash": random_hash(), "context": context_of(slot)} for slot in range(2_000)]
                self.assertEqual({result["problem"]["status"] for result in self.claim(self.steps, duties)}, {403})

    def test_signatures_that_are_planted_are_not_recorded(self):
        """A thousand records with made-up signatures at once, which cost the service a recovery each."""
        duties = [{"validator": e2e.ADDRESS, "messageHash": random_hash(), "context": context_of(HONEST_SLOTS + slot)} for slot in range(MOST)]
        claims = [duty | {"lockToken": result["lockToken"]} for duty, result in zip(duties, self.claim(self.held, duties))]
        made_by_another = e2e.signature_of(e2e.HASH, key_of(2))
        with self.honest_beside(self.service, token=self.honest), concurrent.futures.ThreadPoolExecutor(4) as senders:
            for number in attack_rounds():
                forged = made_by_another if number % 2 else "0x" + RANDOM.randbytes(64).hex() + "1b"
                body = {"duties": [claim | {"signature": forged} for claim in claims]}
                for answer in senders.map(lambda body: self.service.post("/api/v1/duties/record", body, token=self.held), [body] * 4):
                    self.assertEqual({result["problem"]["status"] for result in answer.json["results"]}, {400})
        # The honest client asks for what was claimed: it is signed by its own key, or refused; never with what was planted.
        answer = self.service.sign("0xaa", slot=HONEST_SLOTS, token=self.honest)
        self.assertEqual(answer.status, 409, answer.text)
        self.assertNotIn("signature", answer.json)


if __name__ == "__main__":
    attack_support.main()
