"""Validator clients of the fault lab: they ask several nodes for the same duties, partly with different data."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import e2e_support as e2e
from ledger import Duty
from service_support import key_of

VALIDATORS = 8
KEYS = [key_of(number + 1) for number in range(VALIDATORS)]
TYPES = ("ATTESTATION", "GOVERNANCE_VOTE", "BLOCK_PROPOSAL")
# Longer than an attempt of a node, so that a node gets to answer.
ANSWER_TIMEOUT_S = 7.0
SAME_DATA, HOSTILE = 0xFF, 0xEE
# How long clients go on asking when the faults are over.
LONGEST_WAIT_S = 25.0


def message_of(slot, author):
    return f"0x{slot:08x}{author:02x}"


def duties_of(slot, validators, author):
    """Every duty of a slot with its message: attestations are equal on all nodes, block proposals are each node's own,
    votes are equal for every other validator."""
    for number, validator in enumerate(validators):
        for duty_type in TYPES:
            is_own = duty_type == "BLOCK_PROPOSAL" or (duty_type == "GOVERNANCE_VOTE" and number % 2)
            yield Duty(validator, slot, duty_type), message_of(slot, author if is_own else SAME_DATA)


def body_of(asked):
    requests = []
    for duty, message in asked:
        context = {"dutyType": duty.type, "slot": duty.slot}
        if duty.block_index >= 0:
            context["blockIndexWithinCheckpoint"] = duty.block_index
        requests.append({"validator": duty.validator, "context": context, "message": message})
    return json.dumps({"duties": requests})


def post(address, asked, timeout=ANSWER_TIMEOUT_S):
    """The result for each duty. Errors: OSError, http.client.HTTPException."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request("POST", "/api/v1/sign", body_of(asked), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer["results"] if "results" in answer else [{"problem": answer}] * len(asked)


def take(ledger, duty, message, result):
    """Tells the ledger of a result. Returns whether the client has its answer."""
    if "signature" in result:
        ledger.signed(duty, message, result["signature"])
        return True
    problem = result["problem"]
    kind = problem["type"].rsplit(":", 1)[1]
    if kind == "duty_already_signed" and "signature" in problem:
        ledger.signed(duty, message, problem["signature"])
        return True
    is_final = (kind == "slashing_protection" and problem["signedByNode"] != "unknown (timeout)") or kind == "outside_watermark"
    if is_final:
        ledger.refused(kind)
    else:
        ledger.not_now(kind)
        ledger.not_now_for(duty, problem.get("detail", kind))
    return is_final


class Client:
    """Builds its own data for each slot and has it signed: by its own node first, then by the others in turn."""

    def __init__(self, ledger, nodes, number):
        self.ledger, self.nodes, self.number = ledger, nodes, number
        self.pool = ThreadPoolExecutor(max_workers=12)
        self.free = threading.Semaphore(12)
        self.give_up_at = float("inf")
        self.failures = []

    def begin(self, slot, validators):
        """Asks for the slot in the background, unless twelve slots wait already."""
        if self.free.acquire(blocking=False):
            self.pool.submit(self._work, slot, validators)

    def _work(self, slot, validators):
        try:
            self._ask(dict(duties_of(slot, validators, self.number)))
        except Exception as error:
            self.failures.append(f"client {self.number}, slot {slot}: {error!r}")
        finally:
            self.free.release()

    def _ask(self, waiting):
        turn = self.number
        while waiting and time.monotonic() < self.give_up_at:
            address = self.nodes[turn % len(self.nodes)].address
            asked = list(waiting.items())
            if address is None:
                turn += 1
                time.sleep(0.05)
                continue
            self.ledger.asked(list(waiting))
            try:
                results = post(address, asked)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.ledger.not_now(f"no answer ({type(error).__name__})", len(asked))
                turn += 1
                time.sleep(0.05)
                continue
            for (duty, message), result in zip(asked, results):
                if take(self.ledger, duty, message, result):
                    del waiting[duty]
            if waiting:
                # What a node has recorded without learning of it, another one hands out.
                turn += 1
                time.sleep(0.1)


class Load:
    """Clients that ask, slot by slot, until the block ends; then until they have their answers:

        with Load(cluster):
            break_something()
    """

    def __init__(self, cluster, *, pace_s=0.1, validators=VALIDATORS):
        self.cluster, self.pace_s = cluster, pace_s
        self.validators = cluster.validators[:validators]
        self.clients = [Client(cluster.ledger, cluster.nodes, number) for number in range(len(cluster.nodes))]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.wait(self.pace_s):
            self.cluster.slot += 1
            for client in self.clients:
                client.begin(self.cluster.slot, self.validators)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for client in self.clients:
            client.give_up_at = time.monotonic() + LONGEST_WAIT_S
        for client in self.clients:
            client.pool.shutdown(wait=True)
            self.cluster.problems += client.failures

    def wait_for_signatures(self, count, timeout=30):
        """Until so many more duties are signed."""
        wanted = self.cluster.ledger.signed_count() + count
        give_up_at = time.monotonic() + timeout
        while self.cluster.ledger.signed_count() < wanted:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(0.01)
        return True


def ask_for_other_data(ledger, address, duties, batch=200, timeout=20):
    """What a client that is wrong, or hostile, does after a fault: asks for other data for the duties that were asked for."""
    for first in range(0, len(duties), batch):
        waiting = {duty: message_of(duty.slot, HOSTILE) for duty in duties[first:first + batch]}
        for _ in range(3):
            ledger.asked(list(waiting))
            for (duty, message), result in zip(list(waiting.items()), post(address, list(waiting.items()), timeout)):
                if take(ledger, duty, message, result):
                    del waiting[duty]
            if not waiting:
                break
