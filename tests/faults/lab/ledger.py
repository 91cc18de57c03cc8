"""The judge of the fault lab: what the clients got, checked without any part of the product."""

import ctypes
import ctypes.util
import threading
import time
from collections import Counter
from typing import NamedTuple

from Cryptodome.Hash import keccak

# A duty that some node could sign all the time must be signed within this: the lease, the wait for a peer, and an attempt
# that has to be repeated.
LONGEST_WAIT_S = 10.0


class Duty(NamedTuple):
    validator: str  # lower case
    slot: int
    type: str

    @property
    def block_index(self):
        return 0 if self.type == "BLOCK_PROPOSAL" else -1


def keccak_256(data):
    return keccak.new(digest_bits=256, data=data).digest()


def hash_of(message):
    """The EIP-191 hash of a message, given as 0x and hex digits, as eth_sign makes it."""
    data = bytes.fromhex(message[2:])
    return keccak_256(b"\x19Ethereum Signed Message:\n%d" % len(data) + data)


class Curve:
    """Who made a signature, by libsecp256k1."""

    SIGN_AND_VERIFY = 0x0301
    UNCOMPRESSED = 0x02

    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("secp256k1"))
        self.library.secp256k1_context_create.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.secp256k1_context_create(self.SIGN_AND_VERIFY))

    def signer_of(self, message_hash, signature):
        """The address, in lower case, or None for what is not a signature."""
        compact, recovery_id = bytes.fromhex(signature[2:130]), int(signature[130:], 16) - 27
        parsed, key = ctypes.create_string_buffer(65), ctypes.create_string_buffer(64)
        if not 0 <= recovery_id <= 1 or not self.library.secp256k1_ecdsa_recoverable_signature_parse_compact(
                self.context, parsed, compact, recovery_id):
            return None
        if not self.library.secp256k1_ecdsa_recover(self.context, key, parsed, message_hash):
            return None
        return self._address(key)

    def address_of(self, private_key):
        """`private_key`: 0x and 64 hex digits."""
        key = ctypes.create_string_buffer(64)
        assert self.library.secp256k1_ec_pubkey_create(self.context, key, bytes.fromhex(private_key[2:]))
        return self._address(key)

    def _address(self, key):
        point, size = ctypes.create_string_buffer(65), ctypes.c_size_t(65)
        self.library.secp256k1_ec_pubkey_serialize(self.context, point, ctypes.byref(size), key, self.UNCOMPRESSED)
        return "0x" + keccak_256(point.raw[1:])[12:].hex()


class Ledger:
    """Thread safety: any thread."""

    def __init__(self):
        self._guard = threading.Lock()
        self._curve = Curve()
        self._began = time.monotonic()
        self._first_asked = {}
        self._first_signed = {}
        self._released = {}  # duty: {message: {signature}}
        self._signed_at = []
        self._could_sign = []  # (since when, whether some node could sign)
        self.attempts = 0
        self.signatures = 0
        self.refusals = Counter()
        self.other_answers = Counter()  # those after which a client asks again
        self._reasons = {}  # duty: {reason: how often}, of these answers
        self.worst = (0.0, None)

    # ---- what the clients tell

    def asked(self, duties):
        now = time.monotonic()
        with self._guard:
            self.attempts += len(duties)
            for duty in duties:
                self._first_asked.setdefault(duty, now)

    def signed(self, duty, message, signature):
        now = time.monotonic()
        with self._guard:
            self.signatures += 1
            self._signed_at.append(now)
            self._first_signed.setdefault(duty, now)
            self._released.setdefault(duty, {}).setdefault(message, set()).add(signature)

    def refused(self, kind):
        with self._guard:
            self.refusals[kind] += 1

    def not_now(self, kind, count=1):
        with self._guard:
            self.other_answers[kind] += count

    def not_now_for(self, duty, reason):
        with self._guard:
            self._reasons.setdefault(duty, Counter())[reason] += 1

    def some_node_can_sign(self, can):
        with self._guard:
            if not self._could_sign or self._could_sign[-1][1] != can:
                self._could_sign.append((time.monotonic(), can))

    # ---- the judgement

    def duties(self):
        with self._guard:
            return list(self._first_asked)

    def signed_count(self):
        with self._guard:
            return len(self._first_signed)

    def last_signed_at(self):
        with self._guard:
            return self._signed_at[-1] if self._signed_at else float("-inf")

    def a_signature_of(self, duty):
        """(duty, message, signature) of a signed duty."""
        with self._guard:
            message, signatures = next(iter(self._released[duty].items()))
            return duty, message, next(iter(signatures))

    def two_messages(self):
        with self._guard:
            return sorted(duty for duty, messages in self._released.items() if len(messages) > 1)

    def forged(self):
        """Signatures that are not the validator's for the message that was asked for."""
        return sorted({duty for duty, messages in self._released.items() for message, signatures in messages.items()
                       for signature in signatures if self._curve.signer_of(hash_of(message), signature) != duty.validator})

    def not_recorded(self, rows):
        """Duties whose released message is not the one of their *signed* row; `rows`: duty: (status, message hash)."""
        return sorted(duty for duty, messages in self._released.items()
                      if any(rows.get(duty) != ("signed", "0x" + hash_of(message).hex()) for message in messages))

    def reasons(self, duty):
        """Why the duty was not signed when clients asked for it: [(reason, how often)]."""
        with self._guard:
            return self._reasons.get(duty, Counter()).most_common()

    def _waited(self, duty):
        """How long the duty waited for its first signature while some node could sign."""
        begin, end = self._first_asked[duty], self._first_signed.get(duty, time.monotonic())
        spans = [*self._could_sign, (float("inf"), False)] if self._could_sign else [(0.0, True), (float("inf"), False)]
        return sum(max(0.0, min(end, until) - max(begin, since)) for (since, can), (until, _) in zip(spans, spans[1:]) if can)

    def missed(self):
        missed = []
        for duty in self._first_asked:
            waited = self._waited(duty)
            self.worst = max(self.worst, (waited, duty), key=lambda pair: pair[0])
            if duty not in self._first_signed or waited > LONGEST_WAIT_S:
                missed.append(duty)
        return sorted(missed)

    def longest_gap_s(self):
        """The longest time between two signatures."""
        return max((later - earlier for earlier, later in zip(self._signed_at, self._signed_at[1:])), default=0.0)
