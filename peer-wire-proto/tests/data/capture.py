#!/usr/bin/python3
"""Records the streams in this folder again: libtorrent seeds 20 000 bytes to ctorrent, aria2 and transmission-cli.

Needs Debian's python3-libtorrent, ctorrent, opentracker, aria2, transmission-cli, tshark and iproute2, and root:
    unshare --net python3 capture.py FOLDER
The network namespace keeps DHT and port mapping away from the internet, and other packets out of the capture.
"""
import hashlib
import os
import subprocess
import sys
import tempfile
import time

import libtorrent as lt

# A piece of 16 384 bytes and one of 3616.
CONTENT = b''.join(hashlib.sha1(b'peer-wire-proto %d' % i).digest() for i in range(1000))
SEEDER, TRACKER, V1_ONLY, PE_DISABLED = '127.0.0.2', '127.0.0.3', 64, 2


def seed():
    os.mkdir('seed')
    with open('seed/small.bin', 'wb') as file:
        file.write(CONTENT)
    files = lt.file_storage()
    lt.add_files(files, 'seed/small.bin')
    torrent = lt.create_torrent(files, 16384, flags=V1_ONLY)
    torrent.add_tracker(f'http://{TRACKER}:6969/announce')
    lt.set_piece_hashes(torrent, 'seed')
    with open('small.torrent', 'wb') as file:
        file.write(lt.bencode(torrent.generate()))
    info = lt.torrent_info('small.torrent')
    with open('whitelist', 'w') as file:
        file.write(f'{info.info_hash()}\n')
    tracker = subprocess.Popen(['opentracker', '-i', TRACKER, '-p', '6969', '-P', '6969', '-d', os.getcwd(),
                                '-w', 'whitelist'], stderr=subprocess.DEVNULL)
    time.sleep(1)
    session = lt.session({
        'listen_interfaces': f'{SEEDER}:6881', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
        'enable_natpmp': False, 'enable_outgoing_utp': False, 'enable_incoming_utp': False,
        'in_enc_policy': PE_DISABLED, 'out_enc_policy': PE_DISABLED, 'allow_multiple_connections_per_ip': True})
    params = lt.add_torrent_params()
    params.ti, params.save_path = info, 'seed'
    params.flags = lt.torrent_flags.default_flags & ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
    handle = session.add_torrent(params)
    while not handle.status().is_seeding:
        time.sleep(0.1)
    return tracker, session, handle


def capture(client, command, port):
    """The client gets the seeder from the tracker (port None), or the seeder connects to the client's port."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    os.chdir(folder)
    os.mkdir('down')
    tracker, session, handle = seed()
    dumpcap = subprocess.Popen(['dumpcap', '-q', '-i', 'lo', '-w', 'cap.pcapng'], stderr=subprocess.DEVNULL)
    time.sleep(2)
    peer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    for turn in range(300):
        time.sleep(0.1)
        if port and turn % 30 == 29:
            handle.connect_peer(('127.0.0.1', port))
        if os.path.exists('down/small.bin') and open('down/small.bin', 'rb').read() == CONTENT:
            break
    else:
        sys.exit(f'{client} did not download')
    time.sleep(3)
    for process in peer, tracker:
        process.kill()
    time.sleep(1)
    dumpcap.terminate()
    dumpcap.wait()
    del session
    return os.path.join(folder, 'cap.pcapng'), port or 6881


def tshark(capture, *arguments):
    return subprocess.run(['tshark', '-r', capture, *arguments], check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.splitlines()


def extract(capture, port, client, folder):
    """Writes both directions of the connection with the most bytes, as bytes and as the dissector's text."""
    bytes = {}
    for line in tshark(capture, '-Y', f'tcp.port == {port} && tcp.len > 0', '-T', 'fields', '-e', 'tcp.stream',
                       '-e', 'tcp.srcport', '-e', 'tcp.payload'):
        stream, source, payload = line.split('\t')
        bytes.setdefault(stream, {}).setdefault(source, bytearray()).extend(bytes.fromhex(payload))
    stream = max(bytes, key=lambda stream: sum(map(len, bytes[stream].values())))
    words = {source: [] for source in bytes[stream]}
    for line in tshark(capture, '-d', f'tcp.port=={port},bittorrent', '-Y', f'bittorrent && tcp.stream == {stream}',
                       '-T', 'fields', '-e', 'tcp.srcport', '-e', '_ws.col.Info'):
        source, info = line.split('\t')
        words[source] += [word.strip() for word in info.split('  ') if word.strip()]
    seeder = max(bytes[stream], key=lambda source: len(bytes[stream][source]))
    for source in bytes[stream]:
        name = f'libtorrent-to-{client}' if source == seeder else f'{client}-to-libtorrent'
        with open(os.path.join(folder, name + '.bin'), 'wb') as file:
            file.write(bytes[stream][source])
        with open(os.path.join(folder, name + '.txt'), 'w') as file:
            file.write(''.join(word + '\n' for word in words[source]))


if __name__ == '__main__':
    folder = os.path.abspath(sys.argv[1])
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    for client, port, command in [
        ('ctorrent', None, ['ctorrent', '-p', '2706', '-e', '0', '-s', 'down/small.bin', 'small.torrent']),
        ('aria2', 6999, ['aria2c', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false',
                         '--listen-port=6999', '--seed-time=0', '--bt-exclude-tracker=*', '-d', 'down',
                         'small.torrent']),
        ('transmission', 51413, ['transmission-cli', '-g', 'config', '-et', '-p', '51413', '-w', 'down',
                                 'small.torrent']),
    ]:
        extract(*capture(client, command, port), client, folder)
