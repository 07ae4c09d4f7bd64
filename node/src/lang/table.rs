//! What the command line says, in every language.

use crate::lang::Lang;

macro_rules! messages {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// A message; its `{name}` places are filled by [`Lang::say`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "each one is its own text")]
        pub enum Msg { $($name),* }

        impl Msg {
            /// Every message.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its template in a language.
            #[must_use]
            pub const fn text(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$name, Lang::En) => $en, (Self::$name, Lang::ZhCn) => $zh,)*
                }
            }
        }
    };
}

messages! {
    NoNode: "no lanchat is running for {dir}; start it with `lanchat` or `lanchat run`", "{dir} 没有正在运行的 lanchat；请用 `lanchat` 或 `lanchat run` 启动";
    NodeRuns: "a lanchat is running for {dir}; end it first", "{dir} 已有 lanchat 在运行，请先结束它";
    NodeSilent: "the running lanchat did not answer in time", "正在运行的 lanchat 未能及时应答";
    NodeEnded: "the running lanchat ended", "正在运行的 lanchat 已结束";
    NoDataDir: "this user has no home directory: give --data-dir", "当前用户没有主目录：请指定 --data-dir";
    BadFile: "{file}: {reason}", "文件 {file}：{reason}";
    StdinFailed: "cannot read standard input: {reason}", "无法读取标准输入：{reason}";
    StdoutFailed: "cannot write to standard output: {reason}", "无法写入标准输出：{reason}";
    NoTerminal: "there is no terminal to ask on: give --{option}", "没有可供询问的终端：请使用 --{option}";
    AskPassword: "Password: ", "密码：";
    AskOldPassword: "Old password: ", "旧密码：";
    AskNewPassword: "New password: ", "新密码：";
    AskPassphrase: "Passphrase: ", "口令：";
    AskAgain: "Once more: ", "再输入一次：";
    NotTheSame: "the two are not the same", "两次输入不一致";
    MissingLine: "standard input has to hold {lines} line(s)", "标准输入应有 {lines} 行";
    AskTrust: "Organisation '{org}' has the fingerprint {fingerprint}. Is that right? [y/N] ", "组织“{org}”的指纹是 {fingerprint}。是否正确？[y/N] ";
    UiAt: "lanchat is running: {url}", "lanchat 正在运行：{url}";
    Registered: "registered and signed in as {user}", "已注册并以 {user} 登录";
    LoggedIn: "signed in as {user}", "已以 {user} 登录";
    LoggedOut: "signed out", "已退出登录";
    PasswordChanged: "the password is changed", "密码已更改";
    ProfileChanged: "the profile is changed", "个人资料已更改";
    ContactAdded: "{user} is starred", "已收藏 {user}";
    ContactRemoved: "{user} is not starred any more", "已取消收藏 {user}";
    Sent: "{id} {state}", "消息 {id} {state}";
    Offered: "{id} offered to {user}: {name}", "已向 {user} 发送文件请求 {id}：{name}";
    TransferIs: "{id} {state}: {name}", "传输 {id} {state}：{name}";
    TransferNotDone: "{name}: {state}", "文件 {name}：{state}";
    TransferNotDoneBecause: "{name}: {state} ({reason})", "文件 {name}：{state}（{reason}）";
    TransfersNotDone: "{count} of {all} files did not arrive: {names}", "{all} 个文件中有 {count} 个未送达：{names}";
    TransfersTimedOut: "not there within the time; the transfers go on", "未能在限定时间内完成；传输仍在继续";
    TransfersGoOn: "the transfer goes on in the running lanchat; `lanchat transfers` shows it", "传输仍在正在运行的 lanchat 中继续；可用 `lanchat transfers` 查看";
    ReadingFile: "reading {name}", "正在读取 {name}";
    TransferOffered: "offered", "等待接收";
    TransferWaiting: "waiting", "等待中";
    TransferRunning: "running", "传输中";
    TransferPaused: "paused", "已暂停";
    TransferComplete: "complete", "已完成";
    TransferFailed: "failed", "失败";
    TransferCancelled: "cancelled", "已取消";
    TransferRejected: "rejected", "已拒绝";
    DirectionIn: "from {user}", "来自 {user}";
    DirectionOut: "to {user}", "发给 {user}";
    FileOffered: "* file {id}: {name} ({size}) *", "* 文件 {id}：{name}（{size}） *";
    FileToAccept: "* file {id}: {name} ({size}); `lanchat accept {id}` fetches it *", "* 文件 {id}：{name}（{size}）；可用 `lanchat accept {id}` 接收 *";
    WatchTransfer: "file {id} {direction}: {name} ({size}), {percent} %, {state}", "文件 {id} {direction}：{name}（{size}），{percent} %，{state}";
    Nudged: "{user} is nudged", "已抖动 {user} 的窗口";
    BackedUp: "everything is in {file}, encrypted", "已将全部数据加密保存到 {file}";
    MustChangePassword: "that password serves once: choose your own now with `lanchat passwd`", "该密码只能使用一次：请立即运行 `lanchat passwd` 设置您自己的密码";
    Restored: "{user} is restored", "已恢复 {user}";
    RestoredMember: "the history of {user} in {org} is restored; it shows after `lanchat login --user {user}`", "{user} 在 {org} 的历史记录已恢复；运行 `lanchat login --user {user}` 登录后即可查看";
    DemoReady: "Three people are talking. Open their pages (each link works once, within a minute):", "三位用户正在聊天。请打开他们的页面（每个链接一分钟内有效，只能用一次）：";
    DemoFile: "{from} sent a file to {to}, who has it now: {path}", "{from} 向 {to} 发送了一个文件，{to} 已收到：{path}";
    DemoStop: "Ctrl-C ends the demo and removes everything.", "按 Ctrl-C 结束演示并清除所有数据。";
    NoDemo: "this lanchat was built without the demo", "此版本的 lanchat 不含演示功能";
    BrowserFailed: "no browser could be opened; go to {url}", "无法打开浏览器；请访问 {url}";
    SettingChanged: "{key} = {value}", "设置 {key} = {value}";
    Endorsed: "the device {device} is endorsed", "已认可设备 {device}";
    Accepted: "the device {device} is accepted", "已接受设备 {device}";
    SafetyCompare: "Ask {user} in person, or on the phone, to read out the code that `lanchat verify` shows there. If it is the same: lanchat verify {user} --confirm", "请当面或通过电话，请 {user} 念出对方 `lanchat verify` 显示的安全码。若完全一致，请运行：lanchat verify {user} --confirm";
    SafetyVerified: "{user} is verified", "{user} 已通过验证";
    SafetyDoubted: "the code is marked, but {user} has a device that nobody vouches for: see `lanchat devices list`", "安全码已标记，但 {user} 有一台未获认可的设备：请查看 `lanchat devices list`";
    SafetyRevoked: "{user} is not verified any more", "{user} 不再是已验证状态";
    ColTransfer: "ID", "编号";
    ColPeer: "WITH", "对方";
    ColFile: "FILE", "文件";
    ColSize: "SIZE", "大小";
    ColDone: "DONE", "进度";
    ColRate: "RATE", "速度";
    ColLeft: "LEFT", "剩余";
    ColState: "STATE", "状态";
    ColName: "NAME", "用户名";
    ColDisplayName: "DISPLAYED", "显示名称";
    ColDepartment: "DEPARTMENT", "部门";
    ColPresence: "PRESENCE", "状态";
    ColRoute: "ROUTE", "路径";
    ColAddress: "ADDRESS", "地址";
    ColLastSeen: "LAST SEEN", "上次在线";
    ColVerified: "VERIFIED", "已验证";
    ColDevice: "DEVICE", "设备";
    ColEndorsed: "ENDORSED", "已认可";
    ColRank: "#", "序号";
    ColAdapter: "ADAPTER", "适配器";
    ColKind: "KIND", "类型";
    ColUsable: "USABLE", "可用";
    ColSource: "FROM", "来源";
    ColResult: "RESULT", "结果";
    ColAgo: "TRIED AGO", "距上次尝试";
    ColSetting: "SETTING", "设置";
    ColValue: "VALUE", "值";
    FieldUser: "User", "用户";
    FieldDevice: "Device", "设备";
    FieldVersion: "Version", "版本";
    FieldOrg: "Organisation", "组织";
    FieldOpenLan: "none (open LAN)", "无（开放局域网）";
    FieldCoordinator: "Coordinator", "协调器";
    FieldListen: "Listening on", "监听地址";
    FieldLinks: "Links", "连接";
    FieldLinksValue: "{direct} direct, {relay} relayed", "直连 {direct}，中继 {relay}";
    FieldRelay: "Relay place", "中继位置";
    FieldMdns: "mDNS", "mDNS（局域网发现）";
    FieldReachable: "Dialled here", "外部连接测试";
    FieldClock: "Clock corrected by", "时钟校正";
    FieldMilliseconds: "{ms} ms", "{ms} 毫秒";
    FieldStore: "Stored", "存储";
    FieldStoreValue: "{events} entries, {bytes} bytes", "{events} 条，{bytes} 字节";
    FieldUptime: "Running for", "运行时间";
    FieldSeconds: "{seconds} s", "{seconds} 秒";
    FieldDisplayName: "Displayed", "显示名称";
    FieldDepartment: "Department", "部门";
    FieldTitle: "Title", "职位";
    FieldNote: "Note", "备注";
    FieldPresence: "Presence", "状态";
    FieldAvatar: "Avatar", "头像";
    Online: "online", "在线";
    Away: "away", "离开";
    Busy: "busy", "忙碌";
    Offline: "offline", "离线";
    Direct: "direct", "直连";
    Relay: "relayed", "中继";
    NoRoute: "none", "无";
    Connected: "connected", "已连接";
    Reconnecting: "reconnecting", "正在重连";
    Off: "off", "已关闭";
    MdnsRuns: "running", "运行中";
    RealAdapter: "cable or Wi-Fi", "有线或无线";
    VirtualAdapter: "virtual", "虚拟";
    LoopbackAdapter: "this PC", "本机";
    Reserved: "reserved", "已预留";
    Reserving: "being reserved", "预留中";
    TheCoordinator: "coordinator", "协调器";
    NobodyToAsk: "nobody to ask", "没有可询问的对象";
    NoAnswer: "no answer", "无应答";
    Reached: "reached", "可连接";
    NotReached: "not reached", "无法连接";
    NotTried: "not tried", "未尝试";
    LastLink: "last link", "上次连接";
    ByMdns: "mDNS", "mDNS 广播";
    Forgotten: "nobody any more", "已过时";
    Answered: "answered", "有应答";
    DialRefused: "refused", "被拒绝";
    DialTimedOut: "timed out", "超时";
    DialUnreachable: "unreachable", "不可达";
    DialWrongDevice: "another device", "其他设备";
    DialOther: "failed", "失败";
    DoctorMdns: "running, {devices} devices announced, on {adapters}", "运行中，发现 {devices} 台设备，使用 {adapters}";
    DoctorCoordinator: "{state} {addr}, for {seconds} s; relay: {relay}", "{state} {addr}，已 {seconds} 秒；中继：{relay}";
    DoctorAllWell: "Nothing stands in the way.", "一切正常。";
    Pending: "pending", "等待中";
    Stored: "stored", "已保存";
    Delivered: "delivered", "已送达";
    Read: "read", "已读";
    Yes: "yes", "是";
    No: "no", "否";
    ThisDevice: "this device", "本设备";
    Nudge: "* nudges *", "* 抖动了窗口 *";
    UnknownKind: "* needs a newer lanchat *", "* 需要更新 lanchat 才能显示 *";
    Deleted: "* deleted *", "* 已删除 *";
    WatchReceipt: "{user}: received up to {received}, read up to {read}", "{user}：已收到第 {received} 条，已读到第 {read} 条";
    WatchPresence: "{user} is {presence}", "{user} 现在{presence}";
    WatchLink: "link to {user}: {route} {addr}", "与 {user} 的连接：{route} {addr}";
    WatchProfile: "{user} changed the profile", "{user} 更改了个人资料";
    WatchCoordinator: "coordinator: {state}", "协调器：{state}";
    WatchNotice: "notice: {notice} {text}", "通知：{notice} {text}";
    WatchResync: "some events are gone", "部分事件已丢失";
}
