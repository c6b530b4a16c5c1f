"""Sends a tracker datagrams that it rejects (announces with an unknown connection_id) and ignores (too short), as many
of each as the third argument says."""

import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(20)
announce = bytes(8) + (1).to_bytes(4, "big") + bytes(84) + (6881).to_bytes(2, "big")
for _ in range(count):
    udp.sendto(announce, (host, port))
    # One after the other, so that no buffer gets full.
    udp.recv(2048)
    udp.sendto(b"short", (host, port))
