// Items to pick, for gr.HTML: elements with data-pick. The picked value goes to the `select` event.
// Gradio runs this once per element, with `element`, `trigger`, `props` and `watch`.
const picked = { index: 0 }; // shared by all clicks: for quick clicks Gradio repeats the first, which must have the last value
const itemsOf = (list) => [...list.querySelectorAll("[data-pick]")];
// The chosen item: initially from the HTML, then from clicks and updates.
const written = () => element.querySelector("[data-chosen]")?.dataset.chosen;
let current = written();
const mark = () => {
  for (const item of itemsOf(element)) item.setAttribute("aria-pressed", item.dataset.pick === current);
  for (const list of element.querySelectorAll("[data-one-stop]")) {
    const items = itemsOf(list), chosen = items.find((item) => item.dataset.pick === current);
    stopAt(items, chosen ?? items[0]);
    if (chosen) bringIntoList(list, chosen);
  }
};

// A list with data-one-stop is one stop of the Tab key; arrow keys go from item to item, up and down by rows.
const stopAt = (items, stop) => {
  for (const item of items) item.tabIndex = item === stop ? 0 : -1;
};
// Scrolls the list alone, where `scrollIntoView` would scroll the page too.
const bringIntoList = (list, item) => {
  const [box, place] = [list.getBoundingClientRect(), item.getBoundingClientRect()];
  if (place.top < box.top || place.bottom > box.bottom) list.scrollTop += place.top - box.top - box.height / 2;
  if (place.left < box.left || place.right > box.right) list.scrollLeft += place.left - box.left - box.width / 2;
};
const perRow = (items) => Math.max(1, items.filter((item) => item.offsetTop === items[0].offsetTop).length);
element.addEventListener("keydown", (event) => {
  const list = event.target.closest("[data-one-stop]");
  if (!list) return;
  const items = itemsOf(list), from = items.indexOf(event.target), last = items.length - 1, row = perRow(items);
  const to = { ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - row, ArrowDown: from + row, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (!items[to]) return;
  stopAt(items, items[to]);
  items[to].focus();
});
element.addEventListener("click", (event) => {
  const item = event.target.closest("[data-pick]");
  if (!item || item.disabled) return;
  if (!item.hasAttribute("data-step")) current = item.dataset.pick;
  mark();
  trigger("select", Object.assign(picked, { value: item.dataset.pick }));
});
watch("value", () => {
  current = written();
  mark();
});
watch("chosen", () => {
  current = props.chosen.split(" ")[1];
  mark();
});
mark();
