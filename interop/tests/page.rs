//! The tracker's page, in a real browser.

use std::collections::BTreeSet;
use std::time::Duration;

use interop::client::Load;
use interop::{Browser, Http, Netns, Signal, Tracker, poll_until};
use serde_json::Value;

/// For what comes within some seconds: the page asks every two seconds, the tracker adds to its history every five.
const LIMIT: Duration = Duration::from_secs(30);
/// WebDriver's characters for keys.
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
const LEFT: char = '\u{e012}';

/// A page that shows what a tracker does, and what is behind it.
struct Watched {
    tracker: Tracker,
    page: String,
    browser: Browser,
    http: Http,
}

impl Watched {
    fn open(netns: &Netns, config: &str) -> Self {
        let tracker = Tracker::start_with(netns, "127.0.0.1:6969", config);
        let page = tracker.page();
        let (mut browser, http) = (Browser::start(netns), Http::start(netns));
        // Away from Chromium's own first page, which requests pictures and logs messages.
        browser.open("about:blank");
        browser.requested();
        browser.console();
        browser.open(&format!("{page}/"));
        let mut watched = Self { tracker, page, browser, http };
        watched.wait_for_state("Serving");
        watched
    }

    fn load(&self, netns: &Netns, options: &[&str]) -> Load {
        Load::start(netns, &self.tracker.url(), options)
    }

    fn status(&mut self) -> Value {
        self.http.get_json(&format!("{}/api/status", self.page))
    }

    fn findings(&mut self) -> Vec<Value> {
        self.status()["findings"].as_array().expect("a list").clone()
    }

    fn wait_for_state(&mut self, expected: &str) {
        poll_until(&format!("the state {expected:?}"), LIMIT, || {
            let state = self.browser.text("return document.getElementById('state').textContent");
            if state.starts_with(expected) { Ok(()) } else { Err(state) }
        });
    }
}

/// What the page says with this many findings.
fn attention_state(findings: usize) -> String {
    match findings {
        0 => "Serving. Nothing needs attention.".into(),
        1 => "Serving. 1 thing needs attention.".into(),
        more => format!("Serving. {more} things need attention."),
    }
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// The sum of the numbers in a status at paths such as `/families/*/peers`.
fn sum(status: &Value, path: &str) -> u64 {
    let Some((parent, rest)) = path.split_once("/*") else {
        return status
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {path} in {status}"));
    };
    let parent = status.pointer(parent).and_then(Value::as_object).expect("an object");
    parent
        .values()
        .map(|child| if rest.is_empty() { child.as_u64().expect("a number") } else { sum(child, rest) })
        .sum()
}

#[test]
#[ignore = "needs chromium, chromedriver: run scripts/test"]
fn shows_the_values_of_the_api_and_is_accessible() {
    let netns = Netns::new();
    let mut watched = Watched::open(&netns, "workers = 2\n");
    let mix = ["--mix", "1:6:2:1", "--torrents", "50", "--peers", "3000", "--rate", "2000", "--seconds", "2"];
    let _ = watched.load(&netns, &mix).wait_done(LIMIT);

    // No more requests, and the page has the last figures.
    let status = poll_until("the page to have all figures", LIMIT, || {
        let status = watched.status();
        let shown = watched.browser.text(
            "return document.querySelector('[data-figure=\"requests.received\"]').textContent + ' ' + \
             document.querySelector('[data-figure=\"second.received\"]').textContent",
        );
        let wanted = format!("{} 0", sum(&status, "/requests/received"));
        if shown.replace(',', "") == wanted {
            Ok(status)
        } else {
            Err(format!("{shown}, but the API has {wanted}"))
        }
    });
    shows_the_figures(&mut watched.browser, &status);
    shows_the_tables(&mut watched.browser, &status);
    has_names_for_everything(&mut watched.browser);
    is_usable_by_keyboard(&mut watched);

    for (width, height) in [(390, 844), (320, 640), (1280, 900)] {
        watched.browser.resize(width, height);
        let beyond = watched.browser.run("return document.scrollingElement.scrollWidth - innerWidth");
        assert!(beyond.as_i64().expect("a number") <= 0, "{beyond} pixels beyond a width of {width}");
    }
    watched.browser.prefer_dark(true);
    let dark = watched.browser.text("return getComputedStyle(document.documentElement).backgroundColor");
    watched.browser.prefer_dark(false);
    assert_ne!(
        watched.browser.text("return getComputedStyle(document.documentElement).backgroundColor"),
        dark
    );

    let console = watched.browser.console();
    assert!(console.is_empty(), "{console:#?}");
    let requested = watched.browser.requested();
    assert!(requested.len() > 6, "{requested:?}");
    for url in requested {
        assert!(url.starts_with(&format!("{}/", watched.page)), "a request to {url}");
    }
}

fn shows_the_figures(browser: &mut Browser, status: &Value) {
    for (figure, path) in [
        ("requests.received", "/requests/received"),
        ("requests.answered", "/requests/answered"),
        ("requests.dropped_by_kernel", "/requests/dropped_by_kernel"),
        ("derived.peers", "/families/*/peers"),
        ("derived.seeders", "/families/*/seeders"),
        ("derived.torrents", "/families/*/torrents"),
        ("derived.completed", "/families/*/completed"),
    ] {
        let shown =
            browser.text(&format!("return document.querySelector('[data-figure=\"{figure}\"]').textContent"));
        assert_eq!(number(&shown), sum(status, path), "{figure}");
    }
    assert!(
        sum(status, "/families/*/torrents") == 50 && sum(status, "/requests/answered") > 3000,
        "{status}"
    );
    let memory = browser.text("return document.querySelector('#memory .value').textContent");
    assert!(memory.ends_with(" MB"), "{memory}");
    let about = browser.text("return document.getElementById('about').textContent");
    assert!(about.contains("udp://127.0.0.1:6969"), "{about}");
}

/// The rows of a table, as texts without explanations.
fn rows(browser: &mut Browser, id: &str) -> Vec<Vec<String>> {
    let rows = browser.run(&format!(
        "return [...document.getElementById('{id}').tBodies[0].rows].map(row => [...row.cells].map(cell => \
         [...cell.childNodes].filter(node => node.nodeName !== 'SMALL').map(node => node.textContent).join('')))"
    ));
    serde_json::from_value(rows).expect("rows of texts")
}

fn shows_the_tables(browser: &mut Browser, status: &Value) {
    let requests = rows(browser, "requests");
    for (name, path) in [
        ("Received", "/requests/received"),
        ("Answered: connect", "/requests/answered_by_action/connect"),
        ("Answered: announce", "/requests/answered_by_action/announce"),
        ("Answered: scrape", "/requests/answered_by_action/scrape"),
        ("Not sent", "/requests/not_sent"),
        ("Dropped by the kernel", "/requests/dropped_by_kernel"),
    ] {
        let row =
            requests.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name} in {requests:?}"));
        assert_eq!((row[1].as_str(), number(&row[2])), ("0", sum(status, path)), "{name}");
    }
    let store = rows(browser, "store");
    for (row, what) in store.iter().zip(["torrents", "seeders", "leechers", "completed"]) {
        let expected = ["ipv4", "ipv6"].map(|family| sum(status, &format!("/families/{family}/{what}")));
        assert_eq!([number(&row[1]), number(&row[2])], expected, "{what}");
    }
    assert_eq!(store.len(), 4);
    let workers = rows(browser, "workers");
    let datagrams: Vec<_> = workers.iter().map(|row| number(&row[3])).collect();
    let expected =
        status["workers"].as_array().unwrap().iter().map(|worker| worker["datagrams"].as_u64().unwrap());
    assert_eq!(datagrams, expected.collect::<Vec<_>>());
    assert_eq!(datagrams.len(), 2);
}

fn has_names_for_everything(browser: &mut Browser) {
    let image = ["img", "image"];
    for (selector, roles) in [
        ("#plots svg", &image[..]),
        ("table:not([hidden] *)", &["table"]),
        ("meter", &["meter"]),
        ("input[type=range]", &["slider"]),
        ("input[type=radio]", &["radio"]),
        ("input[type=text]", &["textbox"]),
        ("button", &["button"]),
        ("main section:not([hidden]):not(.card)", &["region"]),
        ("a", &["link"]),
    ] {
        let found = browser.roles_and_names(selector);
        assert!(!found.is_empty(), "nothing is {selector}");
        for (role, name) in &found {
            assert!(
                roles.contains(&role.as_str()) && !name.is_empty(),
                "{selector} has the role {role:?}, name {name:?}"
            );
        }
        let names: BTreeSet<_> = found.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), found.len(), "{selector}: {found:?}");
    }
    let plots = browser.roles_and_names("#plot-requests svg");
    assert!(
        plots[0].1.starts_with("Datagrams a second in the last") && plots[0].1.contains("now: answered "),
        "{plots:?}"
    );
}

fn is_usable_by_keyboard(watched: &mut Watched) {
    let browser = &mut watched.browser;
    // Of a group of radio buttons, Tab reaches the chosen one, and the arrows the others.
    let interactive = "[...document.querySelectorAll('a, button, input, select, summary, [tabindex=\"0\"]')]\
                       .filter(e => e.checkVisibility() && !(e.type === 'radio' && !e.checked))";
    let count = browser.run(&format!("return {interactive}.length")).as_u64().unwrap();
    assert!(count >= 6);
    browser.run("document.activeElement.blur(); window.reached = new Set()");
    for _ in 0..count {
        browser.press(TAB);
        browser.run("reached.add(document.activeElement)");
    }
    let missed =
        browser.run(&format!("return {interactive}.filter(e => !reached.has(e)).map(e => e.outerHTML)"));
    assert_eq!(missed, serde_json::json!([]));

    // A tracker that was started some seconds ago shows five minutes, in which there is one moment to look at, at least.
    browser.run("document.querySelector('#spans input:checked').focus()");
    browser.press(LEFT);
    assert_eq!(browser.text("return document.querySelector('#spans input:checked').value"), "900");
    browser.run("document.getElementById('moment').focus()");
    assert_eq!(browser.text("return document.getElementById('moment-text').textContent"), "now");
    browser.press(LEFT);
    let moment = browser.text("return document.getElementById('moment-text').textContent");
    assert!(moment.ends_with(" ago"), "{moment}");
    let label = browser.roles_and_names("#plot-requests svg").remove(0).1;
    assert!(label.contains(&format!("at {}", moment.split(',').next().unwrap())), "{label} at {moment}");

    let torrent = "0123456789abcdef0123456789abcdef01234567";
    browser.run(&format!(
        "const field = document.getElementById('torrent'); field.value = 'magnet:?xt=urn:btih:{torrent}&dn=x'; field.focus()"
    ));
    browser.press(ENTER);
    poll_until("the counts of a torrent", LIMIT, || {
        let found = browser.text("return document.getElementById('found').textContent");
        if found.starts_with("IPv4: 0 seeders, 0 leechers, 0 completed") { Ok(()) } else { Err(found) }
    });
}

#[test]
#[ignore = "needs chromium, chromedriver: run scripts/test"]
fn plots_move_under_load() {
    let netns = Netns::new();
    let mut watched = Watched::open(&netns, "");
    let curve = |browser: &mut Browser, plot: &str, key: &str| {
        browser
            .text(&format!("return document.querySelector('#{plot} path[data-key={key}]').getAttribute('d')"))
    };
    let plotted =
        [("plot-requests", "answered"), ("plot-latency", "p99_microseconds"), ("plot-peers", "peers")];
    let idle = plotted.map(|(plot, key)| curve(&mut watched.browser, plot, key));
    let _load = watched.load(&netns, &["--rate", "1000", "--seconds", "60", "--torrents", "30"]);
    poll_until("the plots to move", LIMIT, || {
        let now = plotted.map(|(plot, key)| curve(&mut watched.browser, plot, key));
        let rate = "return document.querySelector('[data-figure=\"second.received\"]').textContent";
        let rate = watched.browser.text(rate).replace(',', "").parse().unwrap_or(0.0);
        let moved = now.iter().zip(&idle).all(|(now, idle)| now != idle && !now.is_empty());
        if moved && rate > 100.0 { Ok(()) } else { Err(format!("{now:?} at {rate} a second")) }
    });
    let legend = "return document.querySelector('#plot-peers .legend b').textContent";
    poll_until("the peers in the legend", LIMIT, || {
        let peers = watched.browser.text(legend);
        if peers == "30" { Ok(()) } else { Err(peers) }
    });
    let console = watched.browser.console();
    assert!(console.is_empty(), "{console:#?}");
}

#[test]
#[ignore = "needs chromium, chromedriver: run scripts/test"]
fn says_what_needs_attention_and_when_the_tracker_is_gone() {
    let netns = Netns::new();
    let config = "max_stored_torrents = 20\n";
    let mut watched = Watched::open(&netns, config);
    // The machine itself may have findings.
    let before = watched.findings().len();
    watched.wait_for_state(&attention_state(before));
    let attention = "const shown = document.getElementById('attention'); \
                     return shown.checkVisibility() ? shown.innerText : 'nothing'";
    assert_eq!(watched.browser.text(attention) == "nothing", before == 0);
    let _ = watched.load(&netns, &["--fill", "--torrents", "40", "--others"]).wait_done(LIMIT);
    watched.wait_for_state(&attention_state(before + 1));
    let shown = watched.browser.text(attention);
    let findings = watched.findings();
    let full = findings.iter().find(|finding| finding["id"] == "store_nearly_full").expect("a full store");
    let fix = full["fix"].as_str().expect("a text");
    assert!(shown.starts_with("Needs attention") && shown.contains(fix), "{shown}");
    assert!(fix.contains("raise max_stored_torrents"), "{fix}");
    assert!(watched.browser.text("return document.title").starts_with(&format!("({}) ", before + 1)));

    let Watched { tracker, page, mut browser, http } = watched;
    tracker.stop(Signal::SIGTERM);
    poll_until("the page to notice", LIMIT, || {
        let state = browser.text("return document.getElementById('state').textContent");
        if state.starts_with("No answer from the tracker since ") { Ok(()) } else { Err(state) }
    });
    let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", config);
    assert_eq!(tracker.page(), page);
    Watched { tracker, page, browser, http }.wait_for_state(&attention_state(before));
}
