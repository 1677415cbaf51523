// Updates a page by server-sent events. Without this script the page is complete, too, and reloads itself.
"use strict";

(() => {
  const SILENCE = 45_000; // A ping comes every 15 seconds, unless a proxy holds events back.
  const LONGEST_PAUSE = 60_000;
  const MOST_LINES = 20_000;

  const main = document.querySelector("main[data-events]");
  const log = document.getElementById("log");
  let seen = log && log.dataset.seen;
  let source = null;
  let isOver = false;
  let isBroken = false;
  let pause = 2_000;
  let silence = 0;
  let retry = 0;

  function open() {
    if (source || isOver || document.hidden) return;
    const url = new URL(main.dataset.events, location.href);
    if (seen) url.searchParams.set("seen", seen);
    source = new EventSource(url);
    source.addEventListener("ping", heard);
    source.addEventListener("parts", (event) => { heard(); showParts(JSON.parse(event.data)); });
    source.addEventListener("log", (event) => {
      heard();
      seen = event.lastEventId;
      showLines(JSON.parse(event.data));
    });
    source.addEventListener("over", () => { isOver = true; close(); });
    source.addEventListener("error", () => {
      isBroken = true;
      // After an answer that has no events, a browser does not try again by itself.
      if (source.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(open, pause * (1 + Math.random()));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    });
    awaitEvents();
  }

  // A hidden page keeps no connection: browsers have only six for all pages of a site.
  function close() {
    clearTimeout(silence);
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  }

  function heard() {
    isBroken = false;
    pause = 2_000;
    awaitEvents();
  }

  function awaitEvents() {
    clearTimeout(silence);
    silence = setTimeout(() => (isBroken ? awaitEvents() : location.reload()), SILENCE);
  }

  function showParts(parts) {
    for (const [id, html] of Object.entries(parts)) {
      const element = document.getElementById(id);
      if (element) element.innerHTML = html; // The Backend's templates escape it.
    }
    main.dataset.heard = "yes"; // Tests wait for this.
  }

  function showLines({ line, is_anew, lines }) {
    const page = document.documentElement;
    const isAtEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 40;
    lines.forEach((html, index) => {
      if (!html && index === lines.length - 1) return; // The last line has not begun.
      const code = codeOf(line + index);
      if (index === 0 && !is_anew) code.insertAdjacentHTML("beforeend", html);
      else code.innerHTML = html;
    });
    if (!isAtEnd) return; // Do not move a reader away from earlier lines.
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    page.scrollTop = page.scrollHeight;
  }

  function codeOf(number) {
    const found = document.getElementById(`L${number}`);
    if (found) return found.querySelector("code");
    const line = document.createElement("span");
    line.className = "line";
    line.id = `L${number}`;
    const link = document.createElement("a");
    link.href = `#L${number}`;
    link.textContent = number;
    const code = document.createElement("code");
    line.append(link, code, "\n");
    log.append(line);
    return code;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
})();
