"""Everything that a tracker must survive, at a steady rate, until it is killed: NODE:PORT... of UDP, then HOST:PORT of its
HTTP address, the rate in datagrams a second, and a seed. It never sends what could change a swarm of others: it has a
connection_id, but only announces torrents of its own."""

import random
import socket
import sys
import time

*nodes, admin, rate, seed = sys.argv[1:]
nodes = [(host, int(port)) for host, port in (node.rsplit(":", 1) for node in nodes)]
admin_host, admin_port = admin.rsplit(":", 1)
chance = random.Random(int(seed))
MAGIC = (0x41727101980).to_bytes(8, "big")


def number(value, length):
    return value.to_bytes(length, "big")


class Source:
    """A socket, with a connection_id of each node as far as it has received one."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((f"127.0.2.{chance.randrange(1, 255)}", 0))
        self.udp.setblocking(False)
        self.ids = {}

    def read(self):
        try:
            while True:
                reply, node = self.udp.recvfrom(4096)
                if len(reply) == 16 and reply[:4] == bytes(4):
                    self.ids[node] = reply[8:]
        except OSError:
            pass

    def send(self, node, datagram):
        try:
            self.udp.sendto(datagram, node)
        except OSError:
            pass


def announce(connection_id, info_hash):
    return (connection_id + number(1, 4) + chance.randbytes(4) + info_hash + chance.randbytes(20) + bytes(16)
            + number(chance.choice([0, 0, 1, 2**63, 2**64 - 1]), 8) + number(chance.choice([0, 1, 2, 3, 4, 2**32 - 1]), 4)
            + chance.randbytes(4) + chance.randbytes(4) + chance.choice([bytes(4), number(50, 4), b"\xff" * 4, b"\x7f" * 4])
            + chance.randbytes(2) + chance.choice([b"", b"\x00", b"\x02\x05/anno", b"\x02\xff/a", chance.randbytes(40)]))


def datagram(source, node):
    connection_id = source.ids.get(node) or chance.randbytes(8)
    own = b"hostile " + chance.randbytes(12)
    kind = chance.randrange(9)
    if kind < 2 or node not in source.ids and kind < 5:
        return MAGIC + bytes(4) + chance.randbytes(4)
    if kind == 2:
        return announce(chance.randbytes(8), own)
    if kind == 3:
        return chance.randbytes(chance.randrange(0, 2200))
    whole = announce(connection_id, own)
    if kind == 4:
        whole = connection_id + number(2, 4) + chance.randbytes(4) + chance.randbytes(20 * chance.randrange(0, 80))
    if kind == 5:
        return whole[:chance.randrange(len(whole) + 1)]
    if kind == 6:
        # Never in the info_hash.
        at = chance.choice([*range(16), *range(36, len(whole))]) if len(whole) > 36 else 0
        return whole[:at] + chance.randbytes(1) + whole[at + 1:]
    if kind == 7:
        return number(chance.randrange(8), 4) + chance.randbytes(4) + number(chance.randrange(2**32), 4) * 3
    return whole


def http():
    """One connection, left open or broken off."""
    try:
        stream = socket.create_connection((admin_host, int(admin_port)), timeout=1)
        stream.sendall(chance.choice([
            chance.randbytes(chance.randrange(3000)),
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /" + b"a" * chance.randrange(20000) + b" HTTP/1.1\r\n\r\n",
            b"PUT /api/access/torrents/" + b"0" * 40 + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n{",
            b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
            b"",
        ]))
        return stream
    except OSError:
        return None


sources = [Source() for _ in range(20)]
streams = []
begun, sent = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * float(rate))
    for _ in range(min(due - sent, 1000)):
        source, node = chance.choice(sources), chance.choice(nodes)
        source.read()
        source.send(node, datagram(source, node))
        if chance.random() < 0.005:
            streams.append(http())
            if len(streams) > 80:
                streams.pop(chance.randrange(len(streams)))
        if chance.random() < 0.001:
            sources[chance.randrange(len(sources))] = Source()
    sent = due
    time.sleep(0.01)
