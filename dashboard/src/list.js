// A list whose rows stay where they are while somebody reads them: new ones come in above, without moving the view.
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function summaryOf(row) {
  const summary = element("summary");
  const line = element("div", undefined, "row");
  const time = element("time", new Date(row.at).toLocaleTimeString([], { hour12: false }));
  time.dateTime = new Date(row.at).toISOString();
  line.append(element("b", row.title), time);
  const second = element("div", undefined, "detail");
  if (row.mark) second.append(element("span", row.mark.text, row.mark.isGood ? "good" : "bad"));
  if (row.mark && row.detail) second.append(" · ");
  second.append(row.detail);
  summary.append(line, second);
  return summary;
}

// The value is written out when it is first asked for: most rows are never opened.
function item(row) {
  const details = element("details");
  details.append(summaryOf(row));
  details.addEventListener("toggle", () => {
    if (details.childElementCount === 1) details.append(element("pre", JSON.stringify(row.value, null, 2)));
  }, { once: true });
  const made = element("li");
  made.append(details);
  return made;
}

export class List {
  #items = new Map();
  #isFresh = false;

  constructor(name) {
    this.list = document.getElementById(name);
    this.counter = document.getElementById(`${name}-count`);
    this.newest = document.getElementById(`${name}-newest`);
    this.newest.addEventListener("click", () => this.#toNewest());
    this.list.addEventListener("scroll", () => this.#sayWhereItIs(), { passive: true });
  }

  // Shows `rows`, the newest first. A row that is open stays, also when it is no longer among them.
  show(rows, count) {
    this.counter.textContent = count;
    const anchor = this.#anchor();
    const top = anchor?.getBoundingClientRect().top ?? 0;
    this.#place(rows);
    if (anchor?.isConnected) this.list.scrollTop += anchor.getBoundingClientRect().top - top;
    this.#sayWhereItIs();
  }

  #place(rows) {
    const items = new Map();
    for (const row of rows) {
      let key = row.key;
      while (items.has(key)) key += "+";
      items.set(key, this.#items.get(key) ?? this.#fresh(row));
    }
    for (const [key, each] of this.#items) {
      if (!items.has(key) && each.firstChild.open) items.set(key, each);
    }
    if (items.size) this.#arrange([...items.values()]);
    this.#items = items;
    this.#isFresh = true;
  }

  // Moves nothing that is in its place: a focused or opened row must not be taken out and put back.
  #arrange(wanted) {
    const kept = new Set(wanted);
    for (const each of [...this.list.children]) if (!kept.has(each)) each.remove();
    let place = this.list.firstElementChild;
    for (const each of wanted) {
      if (each === place) place = place.nextElementSibling;
      else this.list.insertBefore(each, place);
    }
  }

  #fresh(row) {
    const made = item(row);
    if (this.#isFresh) made.className = "fresh";
    return made;
  }

  // The row that must not move: the focused or opened one, or the first in sight once the list is scrolled.
  #anchor() {
    const held = this.list.querySelector(":scope > li:focus-within") ?? this.list.querySelector("details[open]")?.parentElement;
    if (held || this.list.scrollTop === 0) return held ?? null;
    const top = this.list.getBoundingClientRect().top;
    return [...this.list.children].find((each) => each.getBoundingClientRect().bottom > top) ?? null;
  }

  #toNewest() {
    for (const each of this.list.querySelectorAll("details[open]")) each.open = false;
    if (this.list.contains(document.activeElement)) document.activeElement.blur();
    this.list.scrollTop = 0;
  }

  #sayWhereItIs() {
    this.newest.classList.toggle("shown", this.list.scrollTop > 0);
  }
}
