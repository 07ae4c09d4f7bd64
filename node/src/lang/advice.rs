//! The doctor's advice in words: what is wrong, and what to do about it.

use crate::doctor::Code;
use crate::lang::Lang;

macro_rules! advice {
    ($($code:ident: $en:literal, $zh:literal;)*) => {
        /// The template of an advice; its `{name}` places are its arguments.
        #[must_use]
        pub const fn advice_text(code: Code, lang: Lang) -> &'static str {
            match (code, lang) {
                $((Code::$code, Lang::En) => $en, (Code::$code, Lang::ZhCn) => $zh,)*
            }
        }
    };
}

advice! {
    NoAdapter: "this PC is in no network: plug the cable in or switch Wi-Fi on", "本机没有连接到任何网络：请插好网线或打开 Wi-Fi";
    OnlyVirtual: "only VPN or container adapters ({adapters}) are up: connect the cable or Wi-Fi to reach colleagues in this office", "只有 VPN 或容器适配器（{adapters}）可用：请连接网线或 Wi-Fi，才能直接联系本办公室的同事";
    LoopbackOnly: "lanchat listens on this PC only, so nobody can connect to it: remove --listen or the setting 'listen' (`lanchat config set listen \"\"`) and restart it", "lanchat 只在本机监听，其他人无法连接：请去掉 --listen 或清除设置 listen（`lanchat config set listen \"\"`），然后重新启动";
    BlockedUfw: "nobody gets through to this PC at TCP port {port}: let it in with `sudo ufw allow {port}/tcp` (and `sudo ufw allow 5353/udp` for finding each other)", "其他人无法连接本机的 TCP 端口 {port}：请运行 `sudo ufw allow {port}/tcp` 放行（发现彼此还需 `sudo ufw allow 5353/udp`）";
    BlockedFirewalld: "nobody gets through to this PC at TCP port {port}: let it in with `sudo firewall-cmd --permanent --add-port={port}/tcp --add-service=mdns && sudo firewall-cmd --reload`", "其他人无法连接本机的 TCP 端口 {port}：请运行 `sudo firewall-cmd --permanent --add-port={port}/tcp --add-service=mdns && sudo firewall-cmd --reload` 放行";
    BlockedLinux: "nobody gets through to this PC at TCP port {port}: the firewall of this PC or one on the way drops it; accept incoming TCP {port} (and UDP 5353 for finding each other)", "其他人无法连接本机的 TCP 端口 {port}：被本机或途中的防火墙拦截；请放行入站 TCP {port}（发现彼此还需 UDP 5353）";
    BlockedWindows: "nobody gets through to this PC at TCP port {port}: in Windows Security, 'Allow an app through firewall', tick lanchat for private networks, or run as administrator `netsh advfirewall firewall add rule name=lanchat dir=in action=allow protocol=TCP localport={port}`", "其他人无法连接本机的 TCP 端口 {port}：请在“Windows 安全中心”的“允许应用通过防火墙”中为专用网络勾选 lanchat，或以管理员身份运行 `netsh advfirewall firewall add rule name=lanchat dir=in action=allow protocol=TCP localport={port}`";
    BlockedMacos: "nobody gets through to this PC at TCP port {port}: in System Settings, Network, Firewall, Options, allow incoming connections for lanchat", "其他人无法连接本机的 TCP 端口 {port}：请在“系统设置”→“网络”→“防火墙”→“选项”中允许 lanchat 的传入连接";
    MdnsOffByOption: "lanchat was started with --no-mdns, so it finds nobody without a coordinator: start it without", "lanchat 以 --no-mdns 启动，没有协调器时找不到任何人：请去掉该选项重新启动";
    MdnsOffBySetting: "the setting 'mdns' is off, so nobody is found without a coordinator: `lanchat config set mdns true`", "设置 mdns 已关闭，没有协调器时找不到任何人：请运行 `lanchat config set mdns true`";
    MdnsNoMulticast: "no adapter takes part in multicast ({reason}), so nobody is found without a coordinator: see whether a VPN or a security program forbids it", "没有适配器支持组播（{reason}），没有协调器时找不到任何人：请检查是否被 VPN 或安全软件禁止";
    MdnsPort: "UDP port 5353 cannot be opened ({reason}), so nobody is found without a coordinator: another program keeps it to itself; end it or let it share the port", "无法打开 UDP 端口 5353（{reason}），没有协调器时找不到任何人：有其他程序独占该端口，请结束它或让它共享端口";
    MdnsFlooded: "so much is announced in this network that lanchat looks away for a while: some device floods it; ask whoever looks after the network", "本网络中的广播过多，lanchat 暂停发现他人：有设备在大量发送广播，请联系网络管理员";
    MdnsFailed: "looking for others in the own network stopped and is tried again: {reason}", "在局域网中发现他人已中断，正在重试：{reason}";
    MdnsSilent: "no other lanchat announces itself here: it may run nowhere yet, be in another subnet, or the Wi-Fi or switch may drop multicast ('client isolation'); across subnets a coordinator is needed", "没有发现其他 lanchat：可能尚未运行、位于其他子网，或者 Wi-Fi、交换机拦截了组播（“客户端隔离”）；跨子网需要协调器";
    CoordinatorAway: "the coordinator at {addr} has not been reached for {seconds} s: see that it runs, that its address is right, and that its TCP port is let through; people known already can still talk", "已有 {seconds} 秒无法连接协调器 {addr}：请检查它是否在运行、地址是否正确、其 TCP 端口是否放行；已认识的人仍可交谈";
    CoordinatorRefuses: "the coordinator at {addr} does not let this device in ({reason}): log in again, or ask its administrator", "协调器 {addr} 不允许本设备接入（{reason}）：请重新登录，或联系管理员";
    NoRelay: "the coordinator carries no traffic, so whoever cannot be reached directly is not reached at all", "协调器不提供中继：无法直接连接的人将无法联系";
    RelayWaits: "the coordinator gives this PC no place at its relay: whoever cannot connect directly does not reach it; see `lanchat-coordinator relay`", "协调器尚未为本机提供中继：无法直接连接的人联系不到本机；请查看 `lanchat-coordinator relay`";
    ClockWrong: "the clock of this PC is wrong by {seconds} s: set it, or switch automatic time on", "本机时钟相差 {seconds} 秒：请校正时间，或打开自动对时";
    PeerRelayed: "{name} is reached through the coordinator only: messages arrive, large files take longer", "只能通过协调器联系 {name}：消息可以送达，大文件会较慢";
    PeerNoAddress: "nobody tells an address of {name}: it comes from its own lanchat; run `lanchat doctor` there", "没有 {name} 的任何地址：地址由对方的 lanchat 提供，请在对方电脑上运行 `lanchat doctor`";
    PeerRefused: "the PC of {name} answers at {addr}, but lanchat does not listen there: it may have been restarted at another port, or a firewall rejects it; run `lanchat doctor` there", "{name} 的电脑在 {addr} 有应答，但 lanchat 没有在该处监听：可能已换端口重启，或被防火墙拒绝；请在对方电脑上运行 `lanchat doctor`";
    PeerTimedOut: "nothing comes back from {name} at {addr}: a firewall there or a router on the way drops TCP {port}; let it in on the PC of {name} (`lanchat doctor` there says how)", "{name} 的 {addr} 没有任何回应：对方的防火墙或途中的路由器拦截了 TCP {port}；请在 {name} 的电脑上放行（在那里运行 `lanchat doctor` 可查看方法）";
    PeerUnreachable: "there is no way to {name} at {addr}: the PC is gone from the network, or a router or VPN between the two subnets is missing", "没有通往 {name}（{addr}）的路径：对方电脑已离开网络，或两个子网之间缺少路由器或 VPN";
    PeerWrongDevice: "another device than that of {name} answers at {addr}: the address was given away; it sorts itself out once the PC of {name} is on with its new one", "在 {addr} 应答的不是 {name} 的设备：该地址已分配给他人；{name} 的电脑用新地址上线后会自动恢复";
    PeerFailed: "{name} is not reached at {addr}: {reason}", "无法在 {addr} 联系 {name}：{reason}";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::tests::places;

    #[test]
    fn every_advice_is_in_both_languages_with_the_same_places() {
        for code in Code::ALL {
            let (en, zh) = (advice_text(*code, Lang::En), advice_text(*code, Lang::ZhCn));
            assert_eq!(places(en), places(zh), "{code:?}");
            assert!(!zh.is_ascii(), "{code:?} is not translated");
            assert_eq!(Code::of_name(code.name()), Some(*code));
        }
    }
}
