"""One peer for one torrent: TORRENT SAVE_DIR LISTEN_ADDRESS:PORT.

Prints a JSON object per line for each event, all with the key "event". Reads commands from standard input, one a line:
"scrape" requests the torrent's counts from the tracker; "stop", or the end of the input, leaves the swarm and exits.
"""

import json
import queue
import sys
import threading

import libtorrent as lt


def report(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


categories = lt.alert.category_t


def report_alert(alert):
    if isinstance(alert, lt.listen_succeeded_alert):
        report("listening", address=alert.address, port=alert.port)
    elif isinstance(alert, lt.tracker_reply_alert):
        report("tracker_reply", peers=alert.num_peers)
    elif isinstance(alert, lt.torrent_finished_alert):
        # The download is complete and verified, but the last blocks may not be written to the file yet.
        handle.flush_cache()
    elif isinstance(alert, lt.cache_flushed_alert):
        report("finished")
    elif isinstance(alert, lt.scrape_reply_alert):
        report("scrape_reply", seeders=alert.complete, leechers=alert.incomplete)
    elif alert.category() & categories.error_notification:
        report("note", what=alert.what(), message=alert.message())


def commands_from_input():
    commands = queue.Queue()

    def read():
        for line in sys.stdin:
            commands.put(line.strip())
        commands.put("stop")

    threading.Thread(target=read, daemon=True).start()
    return commands


torrent, save_dir, listen = sys.argv[1:]
session = lt.session(
    {
        "listen_interfaces": listen,
        # Peers must come from the tracker only.
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # All programs run on one machine: the tracker may be on loopback, and several peers share an address.
        "ssrf_mitigation": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": categories.error_notification
        | categories.status_notification
        | categories.tracker_notification
        | categories.connect_notification
        | categories.storage_notification,
    }
)
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = save_dir
# Neither paused nor queued: the torrent starts at once.
params.flags = lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd | lt.torrent_flags.disable_pex
handle = session.add_torrent(params)
commands = commands_from_input()

# Pausing the torrent announces `stopped`; ending the session doesn't. The tracker's next reply is the reply to it.
leaving = left = False
while not left:
    session.wait_for_alert(100)
    for alert in session.pop_alerts():
        report_alert(alert)
        if isinstance(alert, lt.tracker_announce_alert):
            leaving = alert.event == lt.event_t.stopped
        elif isinstance(alert, (lt.tracker_reply_alert, lt.tracker_error_alert)):
            left = leaving
    while not commands.empty():
        command = commands.get()
        if command == "scrape":
            handle.scrape_tracker()
        elif command == "stop":
            handle.pause()
report("stopped")
