//! The node, the people, the profile, the starred.

use crate::cli::Failure;
use crate::cli::args::{ContactsCommand, PresenceArg, ProfileArgs};
use crate::cli::client::{Client, escape, plain, with_query};
use crate::cli::commands::{field, items, local_time, word};
use crate::cli::out::Out;
use crate::lang::Msg;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Bytes read of an avatar's file; the node refuses smaller ones already.
const AVATAR_READ: u64 = 512 * 1024;

/// `status`.
pub(super) fn status(client: &Client, out: &Out) -> Result<(), Failure> {
    let status = client.get("status")?;
    if out.json {
        return out.document(&status);
    }
    let lang = out.lang;
    let at = |path: &str| plain(status.pointer(path).unwrap_or(&Value::Null));
    let org = match field(&status, "org") {
        "" => lang.say(Msg::FieldOpenLan, &[]),
        org => format!("{org} ({})", field(&status, "fingerprint")),
    };
    let coordinator = format!("{} {}", word(lang, &at("/coordinator/state")), at("/coordinator/addr"));
    let links = [("direct", at("/links/direct")), ("relay", at("/links/relay"))];
    let store = [("events", at("/store/events")), ("bytes", at("/store/bytes"))];
    let mdns = if at("/mdns") == "true" { Msg::MdnsRuns } else { Msg::Off };
    let fill = |message, args: &[(&str, String); 2]| {
        let args = args.each_ref().map(|(name, value)| (*name, value.as_str()));
        lang.say(message, &args)
    };
    out.fields(&[
        (Msg::FieldUser, format!("{} (@{})", field(&status, "name"), field(&status, "user_id"))),
        (Msg::FieldDevice, field(&status, "peer_id").to_owned()),
        (Msg::FieldOrg, org),
        (Msg::FieldCoordinator, coordinator),
        (Msg::FieldRelay, word(lang, &at("/coordinator/relay"))),
        (Msg::FieldMdns, mdns.text(lang).to_owned()),
        (Msg::FieldListen, at("/listen")),
        (Msg::FieldLinks, fill(Msg::FieldLinksValue, &links)),
        (Msg::FieldStore, fill(Msg::FieldStoreValue, &store)),
        (Msg::FieldVersion, field(&status, "version").to_owned()),
        (Msg::FieldUptime, lang.say(Msg::FieldSeconds, &[("seconds", &at("/uptime_s"))])),
    ])
}

fn people(out: &Out, users: &Value) -> Result<(), Failure> {
    if out.json {
        return out.document(users);
    }
    // In the open LAN a name may be several people's; the id tells them apart wherever a name is asked for.
    let mut of_name: BTreeMap<&str, usize> = BTreeMap::new();
    for user in items(users) {
        *of_name.entry(field(user, "name")).or_default() += 1;
    }
    let name = |user: &Value| {
        let name = field(user, "name");
        let alone = of_name.get(name).is_none_or(|same| *same < 2);
        if alone { name.to_owned() } else { format!("{name} @{}", field(user, "user_id")) }
    };
    let row = |user: &Value| {
        vec![
            name(user),
            field(user, "display_name").to_owned(),
            field(user, "department").to_owned(),
            word(out.lang, field(user, "presence")),
            word(out.lang, field(user, "route")),
            field(user, "addr").to_owned(),
            local_time(field(user, "last_seen")),
            if user.get("verified") == Some(&Value::Bool(true)) {
                Msg::Yes.text(out.lang).to_owned()
            } else {
                String::new()
            },
        ]
    };
    let rows: Vec<_> = items(users).map(row).collect();
    let header = [
        Msg::ColName,
        Msg::ColDisplayName,
        Msg::ColDepartment,
        Msg::ColPresence,
        Msg::ColRoute,
        Msg::ColAddress,
        Msg::ColLastSeen,
        Msg::ColVerified,
    ];
    out.table(&header, &rows)
}

/// `users`.
pub(super) fn users(client: &Client, out: &Out, query: Option<String>) -> Result<(), Failure> {
    people(out, &client.get(&with_query("users", &[("query", query)]))?)
}

/// `contacts`.
pub(super) fn contacts(client: &Client, out: &Out, command: &ContactsCommand) -> Result<(), Failure> {
    match command {
        ContactsCommand::List => people(out, &client.get("contacts")?),
        ContactsCommand::Add { user } => {
            let answer = client.post("contacts", &json!({ "user": user }))?;
            out.either(&answer, Msg::ContactAdded, &[("user", user)])
        }
        ContactsCommand::Remove { user } => {
            let answer = client.delete(&format!("contacts/{}", escape(user)))?;
            out.either(&answer, Msg::ContactRemoved, &[("user", user)])
        }
    }
}

fn put_avatar(client: &Client, out: &Out, file: &Path) -> Result<(), Failure> {
    if file.as_os_str().is_empty() {
        return client.delete("profile/avatar").map(drop);
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(AVATAR_READ).read_to_end(&mut bytes));
    read.map_err(|error| {
        let args = [("file", file.display().to_string()), ("reason", error.to_string())];
        let args = args.each_ref().map(|(name, value)| (*name, value.as_str()));
        Failure::failed(out.lang.say(Msg::BadFile, &args))
    })?;
    // The node looks at the bytes; the name only has to be an image's.
    client.put_image("profile/avatar", "image/png", &bytes).map(drop)
}

/// `profile`.
pub(super) fn profile(client: &Client, out: &Out, args: &ProfileArgs) -> Result<(), Failure> {
    let fields = [
        ("display_name", &args.display_name),
        ("department", &args.department),
        ("title", &args.title),
        ("note", &args.note),
    ];
    let given =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
    let changes: Map<String, Value> = given.collect();
    let changed = !changes.is_empty() || args.avatar.is_some() || args.presence.is_some();
    if !changes.is_empty() {
        client.put("profile", &Value::Object(changes))?;
    }
    if let Some(file) = &args.avatar {
        put_avatar(client, out, file)?;
    }
    if let Some(presence) = args.presence {
        let presence = match presence {
            PresenceArg::Online => "online",
            PresenceArg::Away => "away",
            PresenceArg::Busy => "busy",
        };
        client.put("presence", &json!({ "presence": presence }))?;
    }
    if changed && !out.json {
        return out.say(Msg::ProfileChanged, &[]);
    }
    let profile = client.get("profile")?;
    if out.json {
        return out.document(&profile);
    }
    out.fields(&[
        (Msg::FieldUser, format!("{} (@{})", field(&profile, "name"), field(&profile, "user_id"))),
        (Msg::FieldDisplayName, field(&profile, "display_name").to_owned()),
        (Msg::FieldDepartment, field(&profile, "department").to_owned()),
        (Msg::FieldTitle, field(&profile, "title").to_owned()),
        (Msg::FieldNote, field(&profile, "note").to_owned()),
        (Msg::FieldPresence, word(out.lang, field(&profile, "presence"))),
        (Msg::FieldAvatar, field(&profile, "avatar").to_owned()),
    ])
}
