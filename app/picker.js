// Things to pick, for gr.HTML: elements with data-pick. The picked value goes to the `select` event.
// Gradio runs this once per element, with `element`, `trigger`, `props` and `watch`.
const picked = { index: 0 }; // one for all clicks: of quick ones Gradio repeats the first, which then holds the last
// What is chosen: the HTML says so, then clicks and updates do.
const written = () => element.querySelector("[data-chosen]")?.dataset.chosen;
let current = written();
const mark = () => {
  for (const item of element.querySelectorAll("[data-pick]"))
    item.setAttribute("aria-pressed", item.dataset.pick === current);
};
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
mark();
