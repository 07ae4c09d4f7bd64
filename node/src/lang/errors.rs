//! The API's errors in Chinese, by their code. English is what the API itself says.

/// The template for an error's code; places are the error's arguments.
#[must_use]
pub fn chinese_error(code: &str) -> Option<&'static str> {
    Some(match code {
        "ambiguous" => "有多位用户叫“{name}”，请指定其中之一：{candidates}",
        "ambiguous_transfer" => "有多个传输以“{id}”开头：{candidates}",
        "bad_address" => "“{address}”不是协调器地址：请使用加入链接、主机名、主机:端口或 multiaddr",
        "bad_certificate" => "证书不被接受，请重新登录",
        "bad_code" => "验证码已用过或已超过一分钟：请运行 `lanchat` 获取新的",
        "bad_directory" => "无法将文件保存到 {dir}：{reason}",
        "bad_file_name" => "无法以原文件名发送 {path}：{reason}",
        "bad_image" => "头像无法使用（{reason}）：请使用不超过 64 KiB 的 PNG、JPEG、WebP 或 GIF 图片",
        "bad_name" => "用户名不可用：{reason}",
        "bad_new_password" => "密码不可用：{reason}",
        "bad_password" => "新密码不被接受",
        "bad_profile" => "个人资料不可用：{reason}",
        "bad_request" => "请求无法理解：{reason}",
        "bad_setting" => "设置未更改：{reason}",
        "banned" => "该账号已被封禁",
        "busy" => "等待写入的内容过多，请重试",
        "cloned" => "此设备的副本已登录，请重新登录",
        "code_changed" => "安全码已改变，请重新核对",
        "coordinator_timeout" => "协调器没有应答",
        "coordinator_unavailable" => "协调器目前无法保存数据",
        "device_taken" => "此设备属于另一位用户",
        "failed" => "失败：{reason}",
        "file_changed" => "读取时 {path} 发生了变化：请在没有程序写入时再发送",
        "file_unreadable" => "无法读取 {path}：{reason}",
        "forbidden" => "请求被拒绝：{reason}",
        "invite_needed" => "注册需要有效的邀请码",
        "is_directory" => "{path} 是文件夹；尚不支持发送文件夹",
        "key_changed" => "协调器的密钥已改变：{reason}；如果确认无误，请用 --trust-new-key 登录",
        "media_type" => "内容类型必须是 {needed}",
        "method" => "此页面不支持该方法",
        "name_reserved" => "该用户名为保留名称",
        "name_taken" => "该用户名已被占用",
        "needs_update" => "此会话含有本版本不认识的内容，请更新 lanchat",
        "no_coordinator" => "未连接到协调器",
        "no_coordinator_found" => "局域网中未找到协调器（{reason}）：请用 --coordinator 指定地址",
        "several_organisations" => "局域网中有多个组织：{candidates}；请用 --coordinator 指定地址",
        "nobody_to_ask" => "没有已连接的对象可以询问",
        "no_groups" => "尚不支持群组：请给出用户名或 @用户ID",
        "no_organisation" => "本机不属于任何组织",
        "no_safety_code" => "尚无该用户的安全码：其设备均未出示设备链的起点",
        "no_such_account" => "没有该账号",
        "no_such_file" => "没有文件 {path}",
        "no_such_transfer" => "没有这个传输；`lanchat transfers` 可列出所有传输",
        "transfer_state" => "无法执行：该传输的状态是 {state}",
        "no_such_device" => "没有该设备",
        "no_such_message" => "没有该消息",
        "no_such_page" => "没有该页面",
        "no_such_user" => "没有用户“{name}”；`lanchat users` 可列出所有人",
        "not_endorsed" => "此设备尚未得到您第一台设备的认可",
        "not_signed_in" => "尚未登录",
        "nudge_too_soon" => "请等待 {seconds} 秒后再抖动",
        "org_full" => "该组织的账号已满",
        "refused" => "被协调器拒绝",
        "registration_closed" => "注册已关闭",
        "special_file" => "{path} 不是普通文件（而是设备、管道、套接字或系统虚拟文件）",
        "signed_out" => "已被组织注销，请重新登录",
        "state" => "当前状态下无法执行：{reason}",
        "stopping" => "lanchat 正在关闭",
        "storage" => "无法读写磁盘：{reason}",
        "switching" => "lanchat 正在切换组织，请重试",
        "text_character" => "文本含有不允许的字符（{character}）",
        "text_empty" => "文本为空",
        "text_too_long" => "文本有 {len} 字节，最多允许 {max} 字节",
        "timed_out" => "未能在限定时间内完成；消息仍在发送途中",
        "too_large" => "请求过大",
        "too_many_contacts" => "最多只能收藏 {max} 人",
        "too_many_devices" => "该账号的设备过多",
        "too_many_tries" => "密码错误次数过多，请在 {retry_after_s} 秒后重试",
        "transfer_timed_out" => "未能在限定时间内完成；传输仍在继续",
        "trust_needed" => "组织“{org}”的指纹是 {fingerprint}；确认无误请加 --trust {fingerprint}",
        "unauthorized" => "需要令牌：请用 `lanchat` 打开页面",
        "unreachable" => "{address} 没有协调器应答：{reason}",
        "version" => "没有共同的协议版本，请更新 lanchat",
        "wrong_password" => "用户名或密码错误",
        "yourself" => "不能对自己执行此操作",
        _ => return None,
    })
}

/// What went wrong with a transfer, by its code; `None` for what only the English line tells.
#[must_use]
pub fn chinese_transfer_error(code: &str) -> Option<&'static str> {
    Some(match code {
        "changed" => "文件在发送方已被更改",
        "gone" => "文件在发送方已不存在",
        "no_directory" => "保存目录不存在，或不是目录",
        "no_room" => "磁盘空间不足",
        "not_offered" => "对方不再提供该文件",
        "not_writable" => "保存目录没有写入权限",
        "paused" => "对方已暂停",
        "receiver_failed" => "对方无法保存该文件",
        "refused" => "对方不发送该文件",
        _ => return None,
    })
}

/// What went wrong with a file of the reader's own, where that is said in another way than to who fetches it.
#[must_use]
pub fn chinese_own_file_error(code: &str) -> Option<&'static str> {
    Some(match code {
        "changed" => "文件在发出请求后已被更改",
        "gone" => "文件已不存在",
        _ => return None,
    })
}

/// What can be done instead of an act that a transfer refused, by the hint's code.
#[must_use]
pub fn chinese_transfer_hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "cancelled" => "无法执行：传输已取消；发送方可以重新发送",
        "cancelled_own" => "无法执行：传输已取消；可用 send-file 重新发送",
        "complete" => "无法执行：传输已完成",
        "failed" => "无法执行：传输失败；可用 resume 重试，或用 cancel 放弃",
        "failed_own" => "无法执行：传输失败；接收方可用 resume 重试，您可用 cancel 撤回",
        "not_accepted" => "无法执行：该文件尚未接收；可用 accept 接收，或用 reject 拒绝",
        "not_accepted_own" => "无法执行：对方尚未接收；可用 cancel 撤回",
        "other_device" => "无法执行：该文件由您的另一台设备发送，请在那台设备上取消",
        "own_offer" => "无法执行：这是您自己发送的文件；可用 cancel 撤回",
        "paused" => "无法执行：传输已暂停；可用 resume 继续，或用 cancel 放弃",
        "rejected" => "无法执行：该文件已被拒绝；仍可用 accept 接收",
        "rejected_own" => "无法执行：对方已拒绝，但仍可以接收",
        "under_way" => "无法执行：传输正在进行；可用 pause 暂停，或用 cancel 放弃",
        _ => return None,
    })
}
