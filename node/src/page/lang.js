// What the page says, in English and Chinese; the browser's language decides.

const WORDS = {
  en: {
    find: "Find people or search messages",
    nudge: "Nudge",
    send: "Send",
    write: "Write a message",
    choose: "Choose somebody on the left",
    nobody: "Nobody is here yet",
    closed: "This page is not connected: run `lanchat` to open it again",
    lost: "The connection to lanchat is lost; trying again",
    nudged: "nudged",
    update: "needs a newer lanchat",
    deleted: "deleted",
    found: "Messages found",
    online: "online", away: "away", busy: "busy", offline: "offline",
    direct: "direct", relay: "relayed", none: "not connected",
    pending: "sending", stored: "on this PC", delivered: "delivered", read: "read",
    connected: "coordinator connected", reconnecting: "coordinator away", open: "open LAN",
    later: "offline: delivered when both are on",
    announcement: "Announcement: ",
  },
  zh: {
    find: "查找联系人或搜索消息",
    nudge: "抖动",
    send: "发送",
    write: "输入消息",
    choose: "请在左侧选择联系人",
    nobody: "还没有其他人",
    closed: "页面未连接：请运行 `lanchat` 重新打开",
    lost: "与 lanchat 的连接已断开，正在重试",
    nudged: "抖动了窗口",
    update: "需要更新 lanchat 才能显示",
    deleted: "已删除",
    found: "找到的消息",
    online: "在线", away: "离开", busy: "忙碌", offline: "离线",
    direct: "直连", relay: "中继", none: "未连接",
    pending: "发送中", stored: "已保存在本机", delivered: "已送达", read: "已读",
    connected: "协调器已连接", reconnecting: "协调器未连接", open: "开放局域网",
    later: "对方离线：双方都在线时送达",
    announcement: "公告：",
  },
};

const chinese = (navigator.language || "en").toLowerCase().startsWith("zh");
const words = chinese ? WORDS.zh : WORDS.en;
document.documentElement.lang = chinese ? "zh-CN" : "en";

export const say = (key) => words[key] ?? key;

export const clock = (time) =>
  new Date(time).toLocaleString(chinese ? "zh-CN" : "en", { dateStyle: "short", timeStyle: "short" });
