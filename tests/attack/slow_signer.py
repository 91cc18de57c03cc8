#!/usr/bin/env python3
"""A remote signer that takes its time: slow_signer.py SERVICE MILLISECONDS ADDRESS…

It speaks JSON-RPC as Web3Signer does, prints its port, and has messages signed by a service that holds the keys of the addresses. Below the path /never it
never answers. The end of standard input ends it.
"""

import asyncio
import json
import os
import sys

SERVICE, SECONDS, ACCOUNTS = sys.argv[1], float(sys.argv[2]) / 1000, [address.lower() for address in sys.argv[3:]]
unused = []


async def read_message(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head.split()[1].decode(), await reader.readexactly(length)


def message_of(begin, value):
    body = json.dumps(value).encode()
    return b"%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (begin, len(body), body)


async def signature_of(address, message):
    reader, writer = unused.pop() if unused else await asyncio.open_connection(*SERVICE.rsplit(":", 1))
    writer.write(message_of(b"POST / HTTP/1.1\r\nHost: localhost", {"jsonrpc": "2.0", "id": 1, "method": "eth_sign",
                                                                    "params": [address, message, {"dutyType": "AUTH_REQUEST", "slot": 1}]}))
    _, body = await read_message(reader)
    unused.append((reader, writer))
    return json.loads(body)["result"]


async def serve(reader, writer):
    try:
        while True:
            path, body = await read_message(reader)
            request = json.loads(body)
            result = ACCOUNTS
            if request["method"] != "eth_accounts":
                await asyncio.sleep(10_000 if path.startswith("/never") else SECONDS)
                result = await signature_of(*request["params"])
            writer.write(message_of(b"HTTP/1.1 200 OK", {"jsonrpc": "2.0", "id": request["id"], "result": result}))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # Answers that wait need no good-bye.
    os._exit(0)


asyncio.run(main())
