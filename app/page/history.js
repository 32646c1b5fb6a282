// The browser's Back and Forward, for gr.HTML: sends the new query string to the `select` event.
// Gradio runs this once, with `trigger`.
const step = { index: 0 }; // shared by all steps: for quick steps Gradio repeats the first, which must have the last value
addEventListener("popstate", () => trigger("select", Object.assign(step, { value: location.search })));
