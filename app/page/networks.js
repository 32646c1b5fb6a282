// Networks to choose from, for gr.HTML: rows of a table that sorts, dots of a plot. Both carry data-zoo-id.
// Gradio runs this once per element, with `element`, `trigger`, `props` and `watch`.
const NEAR = 18; // a click within this many pixels of a dot picks it
const rows = () => [...element.querySelectorAll("tbody tr")];
// One event object for all lists of a tab: for quick clicks Gradio repeats the first, in whichever list that was, and it
// must have the last value.
const choose = (id) => {
  const events = (weightscope.picked ??= {}), tab = element.closest(".tabitem")?.id;
  trigger("select", Object.assign((events[tab] ??= { index: 0 }), { value: id }));
};

// The chosen network: initially from the HTML, then from clicks and updates.
const written = () => element.querySelector("[data-chosen]")?.dataset.chosen;
let current = written();

// The table: the chosen row is marked and focusable by Tab; arrow keys move from there.
const mark = () => {
  const all = rows();
  const chosen = all.find((row) => row.dataset.zooId === current);
  for (const row of all) {
    row.setAttribute("aria-selected", row === chosen);
    row.tabIndex = row === (chosen ?? all[0]) ? 0 : -1;
  }
};

const value = (row, column) => Number(row.cells[column].dataset.value ?? NaN);
const compare = (a, b, column) =>
  value(a, column) - value(b, column) ||
  a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true });

const sort = (head) => {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of element.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const sorted = rows().sort((a, b) => compare(a, b, head.cellIndex) * (down ? -1 : 1));
  element.querySelector("tbody").append(...sorted);
};

const step = (row, key) => {
  const next = key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
  next?.focus();
};

// The plot: the dot nearest to the pointer.
const nearest = (event) => {
  const drawing = element.querySelector(".drawing");
  if (!drawing) return null;
  const box = drawing.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = null;
  for (const dot of drawing.querySelectorAll("circle.dot")) {
    const distance = Math.hypot(dot.cx.baseVal.value - x, dot.cy.baseVal.value - y);
    if (distance < NEAR && distance < (best?.distance ?? Infinity)) best = { dot, distance };
  }
  return best?.dot ?? null;
};

// Arrow keys go through the dots from left to right, starting at the chosen one.
const move = (step) => {
  const x = (dot) => dot.cx.baseVal.value;
  const dots = [...element.querySelectorAll("circle.dot")].sort((a, b) => x(a) - x(b));
  const from = dots.findIndex((dot) => dot.classList.contains("near"));
  const chosen = dots.findIndex((dot) => dot.dataset.zooId === current);
  const place = from >= 0 ? from + step : Math.max(chosen, 0);
  point(dots[Math.min(Math.max(place, 0), dots.length - 1)] ?? null);
};
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

const point = (dot) => {
  for (const other of element.querySelectorAll("circle.dot.near")) other.classList.toggle("near", other === dot);
  const tip = element.querySelector(".tip");
  if (!tip) return;
  tip.hidden = !dot;
  element.style.cursor = dot ? "pointer" : "";
  if (!dot) return;
  dot.classList.add("near");
  tip.textContent = dot.dataset.label;
  const [x, width] = [dot.cx.baseVal.value, element.querySelector(".drawing").clientWidth];
  tip.style.left = `${Math.min(Math.max(x, 80), width - 80)}px`;
  tip.style.top = `${dot.cy.baseVal.value}px`;
};

element.addEventListener("click", (event) => {
  const head = event.target.closest("th");
  if (head) return sort(head);
  const item = element.querySelector(".dot.near") ?? nearest(event) ?? event.target.closest("[data-zoo-id]");
  if (!item) return;
  current = item.dataset.zooId;
  mark();
  choose(item.dataset.zooId);
});
element.addEventListener("keydown", (event) => {
  if (event.target.matches(".scatter")) {
    if (event.key in STEPS) move(STEPS[event.key]);
    else if (event.key === "Enter" || event.key === " ") element.querySelector(".dot.near")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    else return;
    return event.preventDefault();
  }
  const row = event.target.closest("tbody tr");
  if (!row || !["ArrowDown", "ArrowUp", "Enter", " "].includes(event.key)) return;
  event.preventDefault();
  if (event.key.startsWith("Arrow")) step(row, event.key);
  else row.click();
});
element.addEventListener("pointermove", (event) => point(nearest(event)));
element.addEventListener("pointerleave", () => point(null));
watch("value", () => {
  current = written();
  mark();
});
watch("chosen", () => {
  current = props.chosen.split(" ")[1];
  mark();
});
mark();
