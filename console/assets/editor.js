// The editor of mails: what is typed is saved by itself, blocks are dragged, texts are written with Squire. Without it
// the same is done with buttons and plain fields. HTML becomes nodes in one place (`inert`), under a policy of its own.
(() => {
  "use strict";

  const SAVE_AFTER = 500; // milliseconds without a key
  const RETRY_AFTER = 4000;
  const LONGEST_RETRY = 30000;
  const PAGE = document.documentElement;
  PAGE.dataset.scripted = "";
  const find = (selector, root = document) => root.querySelector(selector);

  // Texts: foreign HTML is read in a document that runs and loads nothing, and only plain elements are built from it.
  const inert = (() => {
    const parse = (html) => new DOMParser().parseFromString(html, "text/html").body;
    // Handlers and styles go first: nobody would run or see them, but a browser complains of them even there.
    const bare = (html) => html.replace(/<style[\s\S]*?<\/style>/gi, "").replace(/<[^>]*>/g,
      (tag) => tag.replace(/([\s"'/])(on[a-z]+|style)\s*=/gi, "$1data-off="));
    if (!window.trustedTypes) return (html) => parse(bare(html));
    const policy = window.trustedTypes.createPolicy("postlane-editor", { createHTML: bare });
    return (html) => parse(policy.createHTML(html));
  })();
  const KEPT = new Set("A B BLOCKQUOTE BR DIV EM H1 H2 H3 I LI OL P S SPAN STRONG SUB SUP U UL".split(" "));
  const GONE = new Set("SCRIPT STYLE TEMPLATE TITLE IFRAME OBJECT EMBED NOSCRIPT TEXTAREA SVG MATH".split(" "));
  const LEADS = /^(https?:|mailto:|tel:|sms:|\{\{)/i;
  const MARKS = /^squire-selection-(start|end)$/; // Squire's own, in what it undoes
  const built = (node) => {
    const made = document.createElement(node.nodeName);
    const href = node.nodeName === "A" ? (node.getAttribute("href") || "").trim() : "";
    if (LEADS.test(href)) made.setAttribute("href", href);
    return made;
  };
  const copied = (from, to) => {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
      if (node.nodeType !== Node.ELEMENT_NODE || GONE.has(node.nodeName.toUpperCase())) continue;
      if (node.nodeName === "INPUT" && MARKS.test(node.id)) {
        to.append(Object.assign(document.createElement("input"), { type: "hidden", id: node.id }));
        continue;
      }
      const into = KEPT.has(node.nodeName) ? built(node) : to;
      if (into !== to) to.append(into);
      copied(node, into);
    }
    return to;
  };
  const fragmentOf = (html) => copied(inert(html), document.createDocumentFragment());

  class Writer extends window.Squire {
    // As Squire does it, but for the way from text to nodes.
    _setRawHTML(html) {
      this._root.replaceChildren(fragmentOf(html));
      if (!this._root.firstChild) this._root.append(this.createDefaultBlock());
      this._ignoreChange = true;
      return this;
    }
  }

  // Saving: one request after the other, and what is typed stays on the page until it is stored. Without an answer the
  // same words go out again; after a refusal it is for the person to say what happens.
  let dirty = null; // the form whose words are not stored yet
  let timer = 0;
  let under = 0;
  let stuck = false; // refused: nothing goes out by itself
  let unanswered = null; // what was sent and is perhaps stored; it goes out as it was, or it would be somebody's change
  let pause = RETRY_AFTER;
  const SIGNS = { deferred: "state-deferred", bounced: "state-bounced" };
  const say = (tone, text) => {
    const line = find("#state .state");
    if (!line) return;
    line.className = `state ${tone}`;
    const use = find("use", line);
    if (use) use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${SIGNS[tone]}`));
    line.lastChild.data = text;
  };
  const changed = (form) => {
    dirty = form;
    stuck = false;
    clearTimeout(timer);
    timer = setTimeout(flush, SAVE_AFTER);
    say("deferred", "Not saved yet");
  };
  const flush = () => {
    clearTimeout(timer);
    if (!dirty || stuck) return;
    const form = dirty;
    dirty = null;
    if (form.isConnected) window.htmx.trigger(form, "save");
  };
  const leave = () => {
    clearTimeout(timer);
    dirty = unanswered = null;
    stuck = false;
  };
  const ours = (event) => event.target instanceof Element && event.target.closest("#editor");

  document.addEventListener("input", (event) => {
    const form = event.target.closest("#typed");
    if (!form || !event.target.name) return;
    changed(form);
    if (event.target.type === "file") flush();
    if (event.target.id === "field-code") number(event.target);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.closest("#typed")) flush();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) flush();
  });
  window.addEventListener("online", () => flush());
  window.addEventListener("beforeunload", (event) => {
    if (dirty || under) event.preventDefault();
  });

  let sheet = 0;
  let focus = "";
  let held = "";
  document.addEventListener("htmx:before:request", (event) => {
    if (!ours(event)) return;
    const { ctx } = event.detail;
    const { request } = ctx;
    const typed = ctx.typing = event.target.id === "typed"; // its form is another one behind an upload
    if (!typed && dirty && !window.confirm("What you typed last is not saved. Leave it?")) {
      event.preventDefault();
      return;
    }
    const seen = find("#state")?.dataset.revision;
    if (seen && request.body?.set) request.body.set("revision", seen);
    const uploads = typed && [...request.body.values()].some((one) => one.size);
    if (typed) {
      request.body = unanswered = unanswered || request.body;
      under += 1;
      say("deferred", "Saving…");
    } else {
      leave();
      held = remembered();
    }
    if (!typed || uploads) find("#typed")?.toggleAttribute("inert", true); // its place is taken: nothing is typed in vain
  });
  document.addEventListener("htmx:finally:request", (event) => {
    const { ctx } = event.detail;
    find("#typed")?.removeAttribute("inert");
    if (!ctx.typing) return;
    under = Math.max(0, under - 1);
    if (!answered(ctx)) return;
    const repeated = pause !== RETRY_AFTER;
    unanswered = null;
    pause = RETRY_AFTER;
    const form = find("#typed");
    if (repeated && !stuck && form) changed(form); // what was typed while nobody answered
  });

  // What went wrong, and what to do.
  const TO_DO = {
    401: "You are signed out. Sign in again in another tab of this browser, then try again here.",
    403: "You may not change this any more, or you have signed in anew since. Try again; else ask an admin.",
    404: "It is gone: somebody has deleted it. Copy what you typed before you leave this page.",
    413: "It is too large. A picture has 2 MB at most.",
  };
  const BROKEN = "Something went wrong on our side. Try again; if it fails once more, copy what you typed, and tell who runs this server.";
  const answered = ({ response }) => response && ![502, 503, 504].includes(response.status);
  const tell = (what, toDo) => {
    const made = find("#unsaved").content.cloneNode(true);
    find("b", made).textContent = what;
    find("span", made).textContent = toDo;
    find("#trouble")?.replaceWith(made);
  };
  const failed = (event) => {
    const { ctx } = event.detail;
    if (!ctx?.sourceElement?.closest("#editor")) return;
    const status = answered(ctx) && ctx.response.status;
    if (ctx.typing) {
      dirty = dirty || find("#typed");
      stuck = Boolean(status);
      if (ctx.hx) delete ctx.hx.redirect; // to the sign-in: away from what was typed
      say("bounced", stuck ? "Not saved" : "Not saved: no answer, trying again");
      if (!stuck) {
        clearTimeout(timer);
        timer = setTimeout(flush, pause);
        pause = Math.min(2 * pause, LONGEST_RETRY);
      } else if (![409, 422].includes(status)) tell("Not saved.", TO_DO[status] || BROKEN);
    } else if (!status) tell("Not done.", "The console does not answer. Press it again in a moment.");
    else if (![409, 422].includes(status)) tell("Not done.", TO_DO[status] || BROKEN);
  };
  document.addEventListener("htmx:error", failed);
  document.addEventListener("htmx:response:error", failed);
  // Whoever has signed in anew has another key for the forms of this page.
  const again = async () => {
    const answer = await fetch(location.href, { headers: { "hx-request": "true" } }).catch(() => null);
    const key = answer?.ok && /name="form_key" value="([0-9a-f]+)"/.exec(await answer.text());
    if (key) for (const field of document.querySelectorAll("[name=form_key]")) field.value = key[1];
    stuck = false;
    flush();
  };

  // What had the focus has it again, and the mail stands where it stood.
  const remembered = () => {
    const here = document.activeElement;
    if (!here?.closest("#editor")) return "";
    if (here.matches("#typed .write")) return "#typed .write";
    if (here.closest("#typed")) return here.id ? `#typed [id="${CSS.escape(here.id)}"]` : "";
    if (here.dataset.keep) return `li[aria-current] > .block-line [data-keep="${here.dataset.keep}"]:not(:disabled)`;
    if (here.closest(".blocks")) return "li[aria-current] > .block-line > a";
    if (here.name === "act") return `[name="act"][value="${CSS.escape(here.value)}"]:not(:disabled)`;
    const place = [...(here.closest("nav")?.children || [])].indexOf(here);
    return place < 0 ? "" : `nav[aria-label="${here.parentNode.getAttribute("aria-label")}"] > :nth-child(${place + 1})`;
  };
  document.addEventListener("htmx:before:swap", () => {
    sheet = find("#sheet")?.scrollTop || 0;
    focus = remembered() || held;
    held = "";
  });
  document.addEventListener("htmx:after:swap", () => {
    const now = find("#sheet");
    if (now) now.scrollTop = sheet;
    const place = focus && find(`#editor ${focus}`);
    if (place && place !== document.activeElement) place.focus({ preventScroll: true });
    if (dirty) say(stuck ? "bounced" : "deferred", stuck ? "Not saved" : "Not saved yet");
    ready();
  });

  // Texts in Squire; the field below holds the same as HTML.
  const started = new WeakSet();
  const write = (box) => {
    started.add(box);
    const area = find(".write", box);
    const field = find("textarea", box);
    const tools = find(".tools", box);
    const linking = find(".linking", box);
    const writer = new Writer(area, { blockTag: "P", addLinks: false, sanitizeToDOMFragment: fragmentOf });
    area.hidden = tools.hidden = false;
    field.hidden = true;
    find("label", box).addEventListener("click", () => writer.focus());
    writer.setHTML(field.value);
    let known = writer.getHTML();
    writer.addEventListener("input", () => {
      const html = writer.getHTML();
      if (html === known) return;
      known = html;
      field.value = area.textContent.trim() ? html : "";
      changed(field.form);
    });
    writer.addEventListener("pathChange", () => {
      for (const [name, tag] of [["bold", "B"], ["italic", "I"], ["underline", "U"], ["list", "UL"], ["link", "A"]]) {
        find(`[data-do=${name}]`, tools).setAttribute("aria-pressed", String(writer.hasFormat(tag)));
      }
    });
    const toggle = (tag, on, off) => (writer.hasFormat(tag) ? writer[off]() : writer[on]());
    const acts = {
      bold: () => toggle("B", "bold", "removeBold"),
      italic: () => toggle("I", "italic", "removeItalic"),
      underline: () => toggle("U", "underline", "removeUnderline"),
      list: () => toggle("UL", "makeUnorderedList", "removeList"),
      link: (button) => {
        linking.hidden = !linking.hidden;
        button.setAttribute("aria-expanded", String(!linking.hidden));
        if (!linking.hidden) find("input", linking).focus();
      },
      linked: () => {
        const to = find("input", linking).value.trim();
        if (LEADS.test(to)) writer.makeLink(to);
        linking.hidden = true;
      },
      unlinked: () => {
        writer.removeLink();
        linking.hidden = true;
      },
    };
    box.addEventListener("mousedown", (event) => {
      if (event.target.closest("button")) event.preventDefault(); // what is chosen in the text stays chosen
    });
    box.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) acts[button.dataset.do](button);
    });
    find("[data-insert]", tools).addEventListener("change", (event) => {
      if (event.target.value) writer.insertPlainText(`{{ ${event.target.value} | default("") }}`, false);
      event.target.value = "";
    });
  };

  // Order by dragging; buttons do the same.
  const drag = (list) => {
    started.add(list);
    const form = list.closest("form");
    window.Sortable.create(list, {
      group: "blocks",
      handle: ".grip",
      draggable: "li",
      forceFallback: true,
      fallbackTolerance: 3,
      swapThreshold: 0.6,
      animation: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
      onMove: ({ dragged, to }) => dragged.dataset.type !== "columns" || to.dataset.list === "-",
      onEnd: ({ item, from, to, oldDraggableIndex, newDraggableIndex }) => {
        if (from === to && oldDraggableIndex === newDraggableIndex) return;
        const moved = find("#moved", form);
        moved.value = `move ${item.dataset.path} ${to.dataset.list} ${newDraggableIndex}`;
        flush();
        form.requestSubmit(moved);
      },
    });
  };

  // Numbers beside the lines of code; those with a fault stand out.
  const number = (code) => {
    const lines = find("ol", code.parentNode);
    const wanted = code.value.split("\n").length;
    while (lines.children.length < wanted) lines.append(document.createElement("li"));
    while (lines.children.length > wanted) lines.lastChild.remove();
    code.rows = wanted + 1;
  };
  const mark = () => {
    const wrong = new Set((find("#trouble")?.dataset.lines || "").split(" ").map(Number));
    document.querySelectorAll(".numbered li").forEach((line, at) => line.classList.toggle("wrong", wrong.has(at + 1)));
  };

  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    find(`#editor-steps [value=${event.shiftKey ? "redo" : "undo"}]`)?.click();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-lose]")) leave();
    if (event.target.closest("[data-again]")) again();
  });

  const ready = () => {
    for (const list of document.querySelectorAll("#editor .blocks")) if (!started.has(list)) drag(list);
    for (const box of document.querySelectorAll("#editor [data-rich]")) if (!started.has(box)) write(box);
    mark();
  };
  ready();
})();
