"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function make(tag, attributes = {}, text = "") {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  }

  const said = make("p", { class: "unseen", role: "status" });
  root.classList.add("scripted");
  document.body.append(said);

  // ------------------------------------------------ light and dark, kept for as long as the page is open

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = make("button", { type: "button", class: "theme" }, "Dark");
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();
  document.querySelector("header.title")?.prepend(theme);

  // ------------------------------------------------ contents: beside the text, or a drawer above it

  const drawer = document.querySelector("nav.contents details");
  if (drawer) {
    const nav = drawer.parentElement;
    const narrow = matchMedia("(max-width: 1079px)");
    const fold = () => { drawer.open = !narrow.matches; };
    narrow.addEventListener("change", fold);
    fold();
    drawer.addEventListener("click", (event) => {
      if (narrow.matches && event.target.closest("a")) drawer.open = false;
    });
    addEventListener("beforeprint", () => { drawer.open = true; });
    addEventListener("afterprint", fold);

    const links = all("a", drawer).map((link) => [link, document.getElementById(link.hash.slice(1))]);
    let waiting = false;
    const mark = () => {
      waiting = false;
      const atEnd = innerHeight + scrollY >= root.scrollHeight - 2;
      const line = atEnd ? innerHeight : parseFloat(getComputedStyle(root).scrollPaddingTop) + 8;
      const above = links.filter(([, target]) => target && target.getBoundingClientRect().top < line);
      const current = above.at(-1)?.[0];
      for (const marked of all("[aria-current]", drawer)) if (marked !== current) marked.removeAttribute("aria-current");
      for (const item of all(".here", drawer)) item.classList.remove("here");
      if (!current) return;
      current.setAttribute("aria-current", "location");
      for (let item = current.closest("li"); item; item = item.parentElement.closest("li")) item.classList.add("here");
      const place = current.getBoundingClientRect(), box = nav.getBoundingClientRect();
      if (!narrow.matches && (place.top < box.top || place.bottom > box.bottom)) nav.scrollTop += place.top - box.top - box.height / 3;
    };
    const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    mark();
  }

  // ------------------------------------------------ tables sorted within their groups, and back

  const NUMBER = /^([<>≤≥]?)\s*([−-]?(?:\d[\d\s]*)?(?:\.\d+)?)(?=$|[\s%(,;–-])/;

  /* The first number of a text: "1 234" 1234, "<5" just below 5, "0.77 (0.68-0.87)" 0.77; null without one. */
  function numberOf(text) {
    const found = NUMBER.exec(text.trim());
    const digits = found ? found[2].replace(/\s/g, "").replace("−", "-") : "";
    if (!/\d/.test(digits)) return null;
    const value = Number(digits), tiny = Math.abs(value) * 1e-9 + 1e-12;
    return found[1] === "<" ? value - tiny : found[1] === ">" ? value + tiny : value;
  }

  const textOf = (cell) => cell.firstChild?.nodeType === Node.TEXT_NODE && cell.lastElementChild?.tagName === "SUP"
    ? cell.firstChild.data : cell.textContent;
  const indentOf = (row) => Number(/\bin(\d)\b/.exec(row.cells[0]?.className ?? "")?.[1] ?? 0);

  /* Rows in runs: a heading ends one, and so does a row set less deep than the first; deeper rows stay with theirs. */
  function runs(rows) {
    const found = [];
    let run = null;
    for (const row of rows) {
      if (row.classList.contains("group")) {
        found.push({ heading: row });
        run = null;
      } else if (!run || indentOf(row) < run.indent) {
        run = { indent: indentOf(row), families: [[row]] };
        found.push(run);
      } else if (indentOf(row) > run.indent) {
        run.families.at(-1).push(row);
      } else {
        run.families.push([row]);
      }
    }
    return found;
  }

  function sorted(rows, compare) {
    return runs(rows).flatMap((run) => run.heading ? [run.heading]
      : run.families.map(([first, ...below]) => [first, ...sorted(below, compare)])
        .sort((a, b) => compare(a[0], b[0])).flat());
  }

  function comparison(column, rows, sign) {
    const texts = new Map(rows.map((row) => [row, row.cells[column] ? textOf(row.cells[column]).trim() : ""]));
    const known = [...texts.values()].filter((t) => t !== "");
    const numeric = known.filter((t) => numberOf(t) !== null).length * 2 >= known.length;
    const key = (row) => (numeric ? numberOf(texts.get(row)) : texts.get(row) || null);
    return (a, b) => {
      const x = key(a), y = key(b);
      if (x === null || y === null) return (x === null) - (y === null); // what has no value stands last, either way
      return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
    };
  }

  function makeSortable(table) {
    const heads = all("thead th[data-column]", table);
    const printed = all("tbody", table).map((body) => [body, [...body.rows]]);
    const rows = printed.flatMap(([, own]) => own).filter((row) => !row.classList.contains("group"));
    if (rows.length < 3) return;
    const order = (head, direction) => {
      for (const other of heads) other.removeAttribute("aria-sort");
      if (direction) head.setAttribute("aria-sort", direction);
      const compare = direction && comparison(Number(head.dataset.column), rows, direction === "ascending" ? 1 : -1);
      for (const [body, own] of printed) body.append(...(compare ? sorted(own, compare) : own));
      table.classList.toggle("reordered", Boolean(direction));
    };
    for (const head of heads.filter((h) => h.textContent.trim())) {
      // No <button>: Chromium repeats the heads of a table on every sheet of paper only where there is none in them.
      const button = make("span", { role: "button", tabindex: "0", class: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      const turn = () => {
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
        order(head, next);
        said.textContent = next ? `Sorted by ${button.textContent}, ${next}, within groups` : "In the printed order again";
      };
      button.addEventListener("click", turn);
      button.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        turn();
      });
    }
    addEventListener("beforeprint", () => order(heads[0], ""));
  }

  all("figure.table table").forEach(makeSortable);

  // ------------------------------------------------ boxes that scroll can be reached by keyboard, others need not

  const boxes = all(".scroll, .plot, pre");
  const reach = () => {
    for (const box of boxes) {
      if (box.scrollWidth > box.clientWidth || box.dataset.values) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", reach);

  // ------------------------------------------------ values of a figure under the pointer, a finger or the arrow keys

  const tip = make("div", { class: "tooltip", hidden: "" });
  document.body.append(tip);
  let shown = null;

  function hide() {
    shown?.classList.remove("on");
    shown = null;
    tip.hidden = true;
  }

  function show(mark, x) {
    if (mark !== shown) {
      hide();
      shown = mark;
      mark.classList.add("on");
      tip.textContent = mark.dataset.tip;
      tip.hidden = false;
    }
    const box = mark.getBoundingClientRect();
    const middle = x ?? box.left + box.width / 2;
    const left = Math.min(Math.max(middle - tip.offsetWidth / 2, 6), root.clientWidth - tip.offsetWidth - 6);
    const above = Math.max(box.top, 0) - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 6 ? above : Math.max(Math.min(box.bottom + 8, innerHeight - tip.offsetHeight - 6), 6)}px`;
  }

  for (const plot of all(".plot")) {
    const marks = all("[data-tip]", plot);
    if (!marks.length) continue;
    const name = plot.parentElement.querySelector("figcaption")?.dataset.name ?? "figure";
    plot.dataset.values = marks.length;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `Values of ${name}: arrow keys go from one to the next`);
    const over = (event) => {
      const mark = event.target.closest?.("[data-tip]");
      if (mark) show(mark, event.clientX);
      else hide();
    };
    plot.addEventListener("pointermove", over);
    plot.addEventListener("pointerdown", over);
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const at = marks.indexOf(shown);
      const next = {
        ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at < 0 ? 0 : at - 1, ArrowUp: at < 0 ? 0 : at - 1,
        Home: 0, End: marks.length - 1,
      }[event.key];
      if (event.key === "Escape") hide();
      if (next === undefined) return;
      event.preventDefault();
      const mark = marks[Math.min(Math.max(next, 0), marks.length - 1)];
      mark.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(mark);
      said.textContent = mark.dataset.tip;
    });
  }
  addEventListener("scroll", () => {
    if (shown && document.activeElement?.contains(shown)) show(shown);
    else hide();
  }, { passive: true, capture: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  reach();
})();
