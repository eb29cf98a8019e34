// What pages do beyond links and forms. Everything works without; nothing here writes HTML.
(() => {
  "use strict";

  // "/" goes to the search, Escape out of a panel.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.getElementById("find");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    if (event.key === "Escape" && !document.querySelector(":popover-open")) {
      const close = document.querySelector("[data-escape]");
      const menu = document.querySelector("details.me[open]");
      if (menu) menu.open = false;
      else if (close && !typing) close.click();
    }
  });

  document.addEventListener("click", (event) => {
    const menu = document.querySelector("details.me[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
    const copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(copy.dataset.copy).then(() => {
        const label = copy.getAttribute("aria-label");
        copy.setAttribute("aria-label", "Copied");
        copy.classList.add("delivered");
        setTimeout(() => {
          copy.setAttribute("aria-label", label);
          copy.classList.remove("delivered");
        }, 1500);
      });
    }
  });

  // Times stay relative to now.
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const lasting = (seconds) => {
    for (let place = 0; place < units.length; place += 1) {
      const [size, unit] = units[place];
      if (seconds < size) continue;
      const below = unit !== "s" && unit !== "min" && units[place + 1];
      const rest = below ? Math.floor((seconds % size) / below[0]) : 0;
      const first = `${Math.floor(seconds / size)} ${unit}`;
      return rest ? `${first} ${rest} ${below[1]}` : first;
    }
    return "0 s";
  };
  const relative = (moment) => {
    const away = Math.trunc((moment - Date.now()) / 1000);
    if (Math.abs(away) < 5) return "just now";
    return away > 0 ? `in ${lasting(away)}` : `${lasting(-away)} ago`;
  };
  const refresh = () => {
    for (const time of document.querySelectorAll("time.ago")) {
      const text = relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // A part that could not be refreshed says so: the last good one would go on saying that all is well.
  let fresh = new Date();
  const blind = (event) => {
    if (event.target.closest?.("#editor")) return; // it says by itself what was not saved
    const at = fresh.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    let line = document.getElementById("blind");
    if (!line) {
      line = document.createElement("p");
      line.id = "blind";
      line.className = "trouble";
      line.setAttribute("role", "alert");
      document.getElementById("content").prepend(line);
    }
    line.textContent = `Not refreshed since ${at}: the console does not answer.`;
  };
  document.addEventListener("htmx:error", blind);
  document.addEventListener("htmx:response:error", blind);
  document.addEventListener("htmx:after:swap", () => {
    fresh = new Date();
    document.getElementById("blind")?.remove();
  });

  // A part that is told what is new by a stream asks by itself when the stream is silent: every look at it is one of
  // those that keep no session alive.
  const SILENT = 20000;
  const heard = new WeakMap();
  document.addEventListener("htmx:sse:after:message", () => {
    for (const part of document.querySelectorAll("[data-poll]")) heard.set(part, Date.now());
  });
  setInterval(() => {
    for (const part of document.querySelectorAll("[data-poll]")) {
      if (!heard.has(part)) heard.set(part, Date.now());
      if (document.hidden || Date.now() - heard.get(part) < SILENT) continue;
      heard.set(part, Date.now());
      part.dispatchEvent(new CustomEvent("stale"));
    }
  }, 5000);

  // What only a script can do is shown only with one.
  const ready = (root) => {
    for (const copy of root.querySelectorAll("[data-copy][hidden]")) copy.hidden = !navigator.clipboard;
    for (const zone of root.querySelectorAll("input[name=browser_zone]")) {
      zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
    }
    for (const link of root.querySelectorAll("a[data-zone]")) {
      const to = new URL(link.href);
      to.searchParams.set("browser_zone", Intl.DateTimeFormat().resolvedOptions().timeZone || "");
      link.href = to.href;
    }
  };
  ready(document);
  document.addEventListener("htmx:after:swap", () => ready(document));
  setInterval(refresh, 10000);
})();
