"""Makes a version 1 .torrent of a file or a folder and prints its info_hash: PAYLOAD OUTPUT TRACKER_URL PIECE_LENGTH."""

import os
import sys

import libtorrent as lt

payload, output, tracker_url, piece_length = sys.argv[1:]
files = lt.file_storage()
lt.add_files(files, payload)
creator = lt.create_torrent(files, int(piece_length), flags=lt.create_torrent.v1_only)
creator.add_tracker(tracker_url)
lt.set_piece_hashes(creator, os.path.dirname(payload))
with open(output, "wb") as file:
    file.write(lt.bencode(creator.generate()))
print(lt.torrent_info(output).info_hash())
