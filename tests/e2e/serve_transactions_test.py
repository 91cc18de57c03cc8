#!/usr/bin/env python3
"""What a node asks of a remote signer besides duties: transactions of its publishers; and keys that come as an Aztec node's do."""

import json
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import ADDRESS, KEY
from remote_signer_support import RemoteSigner
from service_support import CHAIN_ID, Service, context_of, key_of

# Signed by viem.
VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors/transactions.json").read_text())
PUBLISHER = VECTORS["transactions"][0]["transaction"]["from"]
BLOB = "0x" + "00" * 131_072


class Transactions(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)

    def serve(self, *arguments, **more):
        service = Service(self.folder.path, *arguments, **more)
        self.addCleanup(service.stop)
        return service

    def remote_signer(self):
        remote = RemoteSigner(PUBLISHER)
        self.addCleanup(remote.__exit__)
        return remote

    def client(self, name, rights, *more):
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return made["token"], " ".join([made["line"], *more]) + "\n"

    def refused(self, answer, kind):
        self.assertTrue(answer["error"]["data"]["type"].endswith(f":{kind}"), answer)
        return answer["error"]["message"]

    def test_each_type_is_signed_as_viem_signs_it(self):
        token, line = self.client("node", "transactions")
        service = self.serve(clients=line, publishers=[VECTORS["privateKey"]])
        types = set()
        for vector in VECTORS["transactions"]:
            if vector["chainId"] != CHAIN_ID:
                continue
            asked, wanted = vector["transaction"], vector["signed"]
            self.assertEqual(service.rpc("eth_signTransaction", asked, token=token).get("result"), wanted, vector["name"])
            types.add(wanted[2:4] if wanted[2] == "0" else "legacy")
            if "blobVersionedHashes" in asked:
                # As the node sends it: whole blobs, some hundred kilobytes each, which are not part of what is signed.
                with_blobs = asked | {"blobs": [BLOB] * len(asked["blobVersionedHashes"])}
                self.assertEqual(service.rpc("eth_signTransaction", with_blobs, token=token).get("result"), wanted, vector["name"])
        self.assertEqual(types, {"legacy", "01", "02", "03"})

    def test_only_publishers_sign_transactions_and_only_for_clients_with_the_right(self):
        token, line = self.client("node", "sign,transactions")
        signer, signer_line = self.client("signer", "sign,read")
        other, other_line = self.client("other", "transactions", f"validators={ADDRESS}")
        service = self.serve(clients=line + signer_line + other_line, publishers=[VECTORS["privateKey"]])
        asked = next(v["transaction"] for v in VECTORS["transactions"] if v["chainId"] == CHAIN_ID)
        self.refused(service.rpc("eth_signTransaction", asked, token=signer), "forbidden")
        self.refused(service.rpc("eth_signTransaction", asked, token=other), "forbidden")
        said = self.refused(service.rpc("eth_signTransaction", asked | {"from": ADDRESS}, token=token), "invalid_input")
        self.assertIn('under "publisher"', said)
        self.assertEqual(service.rpc("eth_accounts", token=token)["result"], [ADDRESS.lower(), PUBLISHER.lower()])
        self.assertEqual(service.rpc("eth_accounts", token=signer)["result"], [ADDRESS.lower()])
        refused = service.rpc("eth_sign", PUBLISHER, "0x1234", context_of(5), token=token)
        self.refused(refused, "unknown_validator")

    def test_without_publishers_no_attester_signs_transactions(self):
        token, line = self.client("node", "sign,transactions")
        service = self.serve(clients=line)
        asked = next(v["transaction"] for v in VECTORS["transactions"] if v["chainId"] == CHAIN_ID)
        said = self.refused(service.rpc("eth_signTransaction", asked | {"from": ADDRESS}, token=token), "invalid_input")
        self.assertIn('under "publisher"', said)
        service.write_keys([KEY], publishers=[KEY])
        service.process.send_signal(1)
        service.wait_for("reloaded")
        self.assertIn("result", service.rpc("eth_signTransaction", asked | {"from": ADDRESS}, token=token))

    def test_a_publisher_at_another_remote_signer_is_named_with_what_to_do(self):
        remote = self.remote_signer()
        token, line = self.client("node", "transactions")
        publisher = {"address": PUBLISHER, "remoteSignerUrl": remote.url()}
        service = self.serve(clients=line, publishers=publisher)
        asked = next(v["transaction"] for v in VECTORS["transactions"] if v["chainId"] == CHAIN_ID)
        said = self.refused(service.rpc("eth_signTransaction", asked, token=token), "sign_function_failed")
        self.assertIn("let the node ask that one", said)

    def test_a_remote_signer_that_holds_publishers_only_may_be_away(self):
        publisher = {"address": "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf", "remoteSignerUrl": "http://127.0.0.1:1"}
        service = self.serve(publishers=publisher)
        self.assertIn("it holds keys of publishers only", service.wait_for("publishers_unavailable")["meaning"])
        self.assertEqual(service.sign().status, 200)

    def test_keys_come_from_the_variables_of_an_aztec_node_and_stay_in_no_environment(self):
        keys = [KEY, key_of(7)[2:]]
        service = self.serve(keys=None, environment={"VALIDATOR_PRIVATE_KEYS": " , ".join(keys)})
        self.assertEqual(service.rpc("eth_accounts")["result"][0], ADDRESS.lower())
        self.assertEqual(len(service.rpc("eth_accounts")["result"]), 2)
        self.assertEqual(service.sign().status, 200)
        environment = Path(f"/proc/{service.process.pid}/environ").read_bytes()
        for key in keys:
            self.assertNotIn(key.removeprefix("0x").encode(), environment)
            self.assertNotIn(key.removeprefix("0x"), service.log())
        # A reload still has them.
        service.process.send_signal(1)
        service.wait_for("reloaded")
        self.assertEqual(service.sign(slot=6).status, 200)

    def test_addresses_come_from_the_environment_with_the_remote_signer_that_has_their_keys(self):
        remote = self.remote_signer()
        service = self.serve(keys=None, environment={"VALIDATOR_ADDRESSES": PUBLISHER, "WEB3_SIGNER_URL": remote.url()})
        self.assertEqual(service.rpc("eth_accounts")["result"], [PUBLISHER.lower()])

    def test_a_wrong_variable_is_named_and_not_shown(self):
        service = Service(self.folder.path, keys=None, environment={"VALIDATOR_PRIVATE_KEYS": KEY[:-1] + "g"}, wait=False)
        self.addCleanup(service.stop)
        self.assertEqual(service.process.wait(timeout=30), e2e.USAGE)
        service.reader.join(timeout=5)
        self.assertIn("VALIDATOR_PRIVATE_KEYS", service.log())
        self.assertNotIn(KEY[2:40], service.log())


if __name__ == "__main__":
    e2e.main()
