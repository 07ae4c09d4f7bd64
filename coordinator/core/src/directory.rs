//! Pages of the directory.
//!
//! Keeps true: pages follow the versions of profiles, so a copy that took every page up to a mark holds everything up
//! to it; a profile that changes meanwhile comes again at the end. A renewed certificate is no change: everybody meets
//! it in the hello, and pushing a thousand renewals to a thousand nodes each morning would serve nobody.

use crate::limits::MAX_PAGE_BYTES;
use crate::record::Account;
use crate::records::Records;
use lanchat_proto::codec::{self, BoundedVec};
use lanchat_proto::wire::coordinator::{DIRECTORY_PAGE, Directory, DirectoryDevice, DirectoryMark, Profile};

/// An account as the directory shows it.
pub(crate) fn profile(records: &Records, account: &Account) -> Profile {
    let devices = records.devices_of(&account.user).filter(|device| device.active);
    let devices = devices.map(|device| DirectoryDevice {
        device: device.device,
        certificate: device.certificate.clone(),
        chain: device.chain.clone(),
    });
    Profile {
        user: account.user,
        name: account.name.clone(),
        display_name: account.display_name.clone(),
        department: account.department.clone(),
        title: account.title.clone(),
        note: account.note.clone(),
        avatar: account.avatar,
        gone: records.revocations().is_banned(&account.user),
        last_seen: account.last_seen,
        devices: BoundedVec::first(devices),
    }
}

/// The page that follows version `after`; empty and last when nothing is newer.
pub(crate) fn page(records: &Records, after: u64, fresh: bool) -> Directory {
    let newest = records.mark();
    let (mut profiles, mut bytes, mut version) = (Vec::new(), 0, after.min(newest.version));
    for account in records.changed_after(after) {
        let profile = profile(records, account);
        bytes += codec::encode(&profile).map_or(0, |bytes| bytes.len());
        if profiles.len() == DIRECTORY_PAGE || (bytes > MAX_PAGE_BYTES && !profiles.is_empty()) {
            break;
        }
        version = account.version;
        profiles.push(profile);
    }
    Directory {
        mark: DirectoryMark { generation: newest.generation, version },
        fresh,
        last: version == newest.version,
        profiles: BoundedVec::first(profiles),
    }
}
