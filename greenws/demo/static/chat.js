// The chat page. It talks to greenws/demo/app.py, whose first lines list the messages.
// Whatever comes from other people is set with textContent, never as HTML.

const MAX_SHOWN = 300; // messages kept in the page
const GROUP_MS = 5 * 60_000; // messages of one person within this time share one name
const [TYPING_SEND_MS, TYPING_SHOW_MS] = [2_000, 4_000];
const [FIRST_DELAY_MS, LONGEST_DELAY_MS] = [500, 30_000];
const STABLE_MS = 5_000; // a connection that lived this long was a good one

const $ = (id) => document.getElementById(id);
const [log, text, name, hint, newer, problem] = ["log", "text", "name", "hint", "newer", "problem"].map($);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const mine = new Set(load("members", [])); // what this tab was called on its connections, the latest last
const typing = new Map(); // member -> { who, timer }

let socket = null;
let me = "";
let [attempts, openedAt, retryTimer, lastTypingAt, unread] = [0, 0, 0, 0, 0];
let lastShown = null;

// ---- what a tab remembers over a reload; each tab is its own person

function load(key, otherwise) {
  try { return JSON.parse(sessionStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
}

function save(key, value) {
  try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* then a reload forgets it */ }
}

function inventName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const first = "Amber Brisk Calm Clever Gentle Golden Jolly Lucky Mellow Quiet Silver Sunny Swift Witty".split(" ");
  const second = "Badger Beaver Falcon Finch Fox Hare Heron Lynx Marten Otter Owl Robin Swallow Wren".split(" ");
  return `${pick(first)} ${pick(second)}`;
}

// ---- the connection

function connect() {
  clearTimeout(retryTimer);
  showState("connecting", attempts ? "Reconnecting…" : "Connecting…");
  const url = new URL(document.body.dataset.socket, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const opening = new WebSocket(url);
  socket = opening;
  openedAt = 0;
  opening.addEventListener("open", () => { openedAt = Date.now(); });
  opening.addEventListener("message", ({ data }) => receive(JSON.parse(data)));
  opening.addEventListener("close", () => { if (socket === opening) reconnectLater(); });
}

// Full jitter: a random wait up to a bound that doubles, so that thousands of pages do not come back in one instant.
function reconnectLater() {
  socket = null;
  if (openedAt && Date.now() - openedAt > STABLE_MS) attempts = 0;
  const bound = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempts);
  attempts += 1;
  $("count").textContent = "";
  typing.clear();
  showTyping();
  showState("waiting", navigator.onLine ? "Reconnecting…" : "Offline");
  retryTimer = setTimeout(connect, 100 + Math.random() * bound);
}

const reconnectNow = () => { if (!socket) connect(); };

function hangUp() {
  const leaving = socket;
  socket = null; // so that its close event starts no new attempt
  leaving?.close();
}

const isOpen = () => socket?.readyState === WebSocket.OPEN;

function showState(state, words) {
  document.body.dataset.state = state;
  if ($("status").textContent !== words) $("status").textContent = words;
}

// ---- what comes in

function receive(data) {
  const handlers = { welcome, message: addMessage, presence: showCount, typing: noteTyping, error: showProblem };
  handlers[data.type]?.(data);
}

function welcome({ you, count, history }) {
  me = you;
  mine.add(me);
  save("members", [...mine].slice(-20));
  showState("open", "Connected");
  showCount({ count });
  const isFirst = lastShown === null;
  log.ariaBusy = String(isFirst); // a screen reader need not read the whole past aloud
  history.filter((message) => isFirst || message.at > lastShown.at).forEach(addMessage);
  log.ariaBusy = "false";
  $("empty").hidden = lastShown !== null;
}

function showCount({ count }) {
  $("count").textContent = count === 1 ? "only you here" : `${count} people here`;
}

const showProblem = ({ text: words }) => { problem.textContent = words; };

function noteTyping({ name: who, from }) {
  clearTimeout(typing.get(from)?.timer);
  typing.set(from, { who, timer: setTimeout(() => stopTyping(from), TYPING_SHOW_MS) });
  showTyping();
}

function stopTyping(from) {
  clearTimeout(typing.get(from)?.timer);
  if (typing.delete(from)) showTyping();
}

function showTyping() {
  const names = [...typing.values()].map(({ who }) => who);
  const words = ["", `${names[0]} is typing`, `${names[0]} and ${names[1]} are typing`][names.length];
  hint.textContent = words ?? `${names.length} people are typing`;
  hint.classList.toggle("busy", names.length > 0);
}

// ---- the messages

function element(tag, className, content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}

function addMessage(message) {
  const isMine = mine.has(message.from);
  const follows = isAtEnd() || message.from === me;
  stopTyping(message.from);
  $("empty").hidden = true;
  log.append(render(message, isMine));
  while (log.querySelectorAll(".message").length > MAX_SHOWN) log.querySelector(".message").remove();
  lastShown = message;
  if (follows) scrollToEnd();
  else newer.hidden = false;
  if (document.hidden && !isMine && log.ariaBusy !== "true") showUnread(unread + 1);
}

function render({ name: who, text: words, at, from }, isMine) {
  const isSame = lastShown?.from === from && lastShown.name === who && at - lastShown.at < GROUP_MS;
  const row = element("div", ["message", isMine && "mine", isSame && "same"].filter(Boolean).join(" "));
  const avatar = element("span", "avatar", initials(who));
  avatar.setAttribute("aria-hidden", "true");
  avatar.style.setProperty("--hue", hue(who));
  const head = element("p", "who");
  const time = element("time", "", clock.format(at));
  time.dateTime = new Date(at).toISOString();
  head.append(element("bdi", "", isMine ? "You" : who), " ", time);
  const body = element("p", "text", words);
  body.dir = "auto";
  const bubble = element("div", "bubble");
  bubble.append(head, body);
  row.append(avatar, bubble);
  return row;
}

function initials(who) {
  return who.split(" ").slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}

function hue(who) {
  let sum = 7;
  for (const letter of who) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return (sum * 47) % 360;
}

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
  newer.hidden = true;
}

function showUnread(count) {
  unread = count;
  document.title = `${count ? `(${count}) ` : ""}#${document.body.dataset.room} · GreenWS chat`;
}

// ---- what goes out

function send(kind, words) {
  socket.send(JSON.stringify({ type: kind, name: name.value, text: words }));
}

function submit(event) {
  event.preventDefault();
  showProblem({ text: "" });
  const words = text.value.trim();
  if (words && isOpen()) {
    send("message", words);
    text.value = "";
    lastTypingAt = 0;
    grow();
  } else if (words) {
    showProblem({ text: "Not connected. Your message stays here until you can send it." });
  }
  text.focus();
}

function onInput() {
  grow();
  const isFull = text.value.length >= text.maxLength;
  showProblem({ text: isFull ? `A message has at most ${text.maxLength} characters.` : "" });
  if (!text.value.trim() || !isOpen() || Date.now() - lastTypingAt < TYPING_SEND_MS) return;
  lastTypingAt = Date.now();
  send("typing", "");
}

function grow() {
  const wasAtEnd = isAtEnd();
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  if (wasAtEnd) scrollToEnd();
}

function closeRooms(event) {
  const isOutside = event.type === "click" && !$("rooms").contains(event.target);
  if ($("rooms").open && event.key === "Escape") $("rooms").querySelector("summary").focus();
  if (isOutside || event.key === "Escape") $("rooms").open = false;
}

name.value = load("name", "") || inventName();
save("name", name.value);
name.addEventListener("change", () => save("name", name.value = name.value.trim() || inventName()));
text.addEventListener("input", onInput);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
});
$("composer").addEventListener("submit", submit);
newer.addEventListener("click", scrollToEnd);
log.addEventListener("scroll", () => { if (isAtEnd()) newer.hidden = true; }, { passive: true });
["click", "keydown"].forEach((type) => document.addEventListener(type, closeRooms));
document.addEventListener("visibilitychange", () => { if (!document.hidden) { showUnread(0); reconnectNow(); } });
addEventListener("online", reconnectNow);
addEventListener("pagehide", hangUp);
addEventListener("pageshow", reconnectNow);
if (matchMedia("(hover: hover)").matches) text.focus(); // on a phone this would open the keyboard
connect();
