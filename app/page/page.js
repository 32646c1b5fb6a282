// What all tabs share in the browser. Event listeners of Python call it as `weightscope.begin(...)` and so on.
// Loaded in the page's head, before Gradio builds the page.
window.weightscope = (() => {
  const spoken = (text) => { document.querySelector("#spoken").textContent = text; };
  const value = (elemId) => document.querySelector(`#${elemId} :is(textarea, input)`).value;

  // Requests of one tab are answered in order: each waits for its turn before it is sent.
  const turns = {};
  const takeTurn = async (tab) => {
    const waiting = (turns[tab] ??= []), before = waiting.at(-1)?.over, turn = {};
    turn.over = new Promise((end) => { turn.end = end; });
    waiting.push(turn);
    await before;
  };
  const endTurn = (tab) => turns[tab].shift().end();

  // While a network is being chosen: `data-choosing` counts the running requests, `data-pale` fades the old answer,
  // and `#spoken` announces it to screen readers.
  const begin = async (tab) => {
    document.body.dataset.choosing = Number(document.body.dataset.choosing ?? 0) + 1;
    document.body.dataset.pale = "";
    spoken("Reading a network…");
    await takeTurn(tab);
  };
  const end = (tab) => {
    endTurn(tab);
    const left = Number(document.body.dataset.choosing ?? 1) - 1;
    if (left > 0) document.body.dataset.choosing = left; else delete document.body.dataset.choosing;
    delete document.body.dataset.pale;
    const headlines = [...document.querySelectorAll(".verdict :is(.title, .number)")];
    spoken(headlines.filter((item) => item.checkVisibility()).map((item) => item.textContent).join(", "));
  };
  const hasAnswer = () => { delete document.body.dataset.pale; };

  // A race that is shown was of another ticket once the slider or the reader has moved.
  const markRace = (old) => { document.querySelector("#race-card").toggleAttribute("data-old", old); };

  // An update uses the network that is chosen when its turn comes.
  const update = async (tab, values) => {
    await takeTurn(tab);
    return [value(tab), ...values.slice(1)];
  };

  // On narrow screens, scroll to the answer to a click, or to the reason why there is none.
  const bringIntoView = (selector) => {
    const answer = document.querySelector(selector);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const refused = [...document.querySelectorAll(".refused .refusal")].find((item) => item.checkVisibility());
    if (refused) return refused.scrollIntoView({ block: "nearest" });
    if (!answer || answer.getBoundingClientRect().top < 0.75 * innerHeight) return;
    answer.closest(".card").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  };

  // Clicks on buttons of the class `waits` wait while a network is being chosen: they would act on the previous one.
  // Key presses are clicks too.
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".waits");
    if (!document.body.dataset.choosing || !button) return;
    event.stopImmediatePropagation();
    if (button.dataset.waiting) return;
    button.dataset.waiting = true;
    const look = setInterval(() => {
      if (document.body.dataset.choosing) return;
      clearInterval(look);
      delete button.dataset.waiting;
      button.click();
    }, 50);
  }, true);

  // A button beside a line of code copies it.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.previousElementSibling.textContent;
    const say = (words) => { button.textContent = words; };
    navigator.clipboard?.writeText(text).then(() => say("Copied"), () => say("Select it instead"));
  });

  // Links to tabs switch tabs without reloading the page.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-tab]");
    const tab = document.querySelector(`[role=tab][data-tab-id="${link?.dataset.tab}"]`);
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    tab.click();
    tab.focus();
  });

  // A file over the limit is not sent. The box says so; what is shown stays.
  const refuseLarge = (event) => {
    const box = event.target.closest?.(".upload");
    const files = [...(event.target.files ?? event.dataTransfer?.files ?? [])];
    if (!box || !files.length) return;
    box.parentElement.querySelector(".too-large")?.remove();
    const { maxMb, maxImagesMb } = document.querySelector("#limits").dataset;
    const [most, advice] = box.classList.contains("of-images")
      ? [Number(maxImagesMb), "Use fewer images, or smaller ones."]
      : [Number(maxMb), "Save the weights alone, without optimizer state."];
    const large = files.find((file) => file.size > most * 2 ** 20);
    if (!large) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = "";
    const line = Object.assign(document.createElement("p"), { className: "line refusal too-large", role: "alert" });
    line.textContent = `${large.name} has ${Math.ceil(large.size / 2 ** 20)} MB; at most ${most} MB are read here, so it was not uploaded. ${advice}`;
    box.after(line);
  };
  for (const kind of ["change", "drop"]) document.addEventListener(kind, refuseLarge, true);

  // What is lost with the connection: a line above the tabs.
  const lostFile = history.state;  // see `follow`
  const tellConnection = (text) => { document.querySelector("#connection").textContent = text; };
  addEventListener("offline", () => tellConnection("You are offline. What is shown stays; for anything new, wait for the connection."));

  // A network that is clicked while offline is clicked again once the connection is back.
  let missed = null;
  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-pick], [data-zoo-id]");
    if (navigator.onLine || !item) return;
    event.stopImmediatePropagation();
    missed = item;
    tellConnection("You are offline. What you clicked opens once the connection is back.");
  }, true);
  addEventListener("online", () => {
    tellConnection("");
    missed?.click();
    missed = null;
  });
  addEventListener("click", () => { if (navigator.onLine) tellConnection(""); });

  // The address follows the page once the link that opened it was read. Only a visitor's choices become steps of the
  // history.
  const state = { tab: "", linkWasRead: false, restoring: 0 };
  const named = (tabBox) => tabBox.split(" ").at(-1);  // without the stamp in front
  // The tab that is shown once the link was followed: what it names, unless the visitor has left the first tab.
  const tabShown = (tabBox) => {
    const [first, shown] = ["[role=tab]", "[role=tab][aria-selected=true]"].map((tab) => document.querySelector(tab).dataset.tabId);
    return shown === first ? named(tabBox) || first : shown;
  };
  const readable = (url) => url.href.replaceAll("%2F", "/").replaceAll("%40", "@");
  const show = (url, isStep) => {
    const href = readable(url);
    if (href === location.href) { state.restoring = 0; return; }
    if (Date.now() < state.restoring) return;
    history[isStep && navigator.userActivation?.hasBeenActive ? "pushState" : "replaceState"](0, "", href);
  };
  const follow = (tab, text, style) => {
    if (!state.linkWasRead || state.tab !== tab) return;
    const source = text ? JSON.parse(text) : {}, url = new URL(location);
    const isStep = url.searchParams.get("network") !== (source.zoo_id ?? null) || url.searchParams.get("tab") !== tab;
    const set = (key, to) => to ? url.searchParams.set(key, to) : url.searchParams.delete(key);
    set("zoo", source.zoo); set("network", source.zoo_id); set("tab", tab); set("style", style);
    show(url, isStep);
    if (source.path) history.replaceState(source.path.split("/").at(-1), "");  // survives a reload, as the file does not
  };
  const followQuery = (tab, query) => {
    const url = new URL(location.origin + location.pathname + query);
    if (state.linkWasRead && state.tab === tab) show(url, true);
    return url.href;
  };
  const toTabs = () => document.querySelector("#tabs").scrollIntoView({ block: "start" });
  const onTab = (tab) => { state.tab = tab; };
  // The new text of a tab's inbox: what it shows first, once it is shown and nothing else was opened in it.
  const openFirst = (tab, first, inbox, tabBox = "") => {
    return inbox || !state.linkWasRead || tabShown(tabBox) !== tab ? inbox : `${Date.now()} ${first}`;
  };
  const linkRead = (tabBox) => {
    const tab = tabShown(tabBox);
    state.tab ||= tab;
    state.linkWasRead = true;
    if (typeof lostFile === "string") tellConnection(`The page was loaded again, so ${lostFile} is no longer open. Please choose it again.`);
    revealOnceStill(tab);
  };

  // While Gradio builds the page, its parts jump about: the stylesheet hides them until the tab of the link is there
  // and has kept its height for a while, or three seconds have passed; or, if its link takes longer to read, until four
  // seconds after the tabs are there.
  document.documentElement.classList.add("loading");
  const reveal = () => document.documentElement.classList.remove("loading");
  const revealOnceStill = (tab, tries = 60, before = 0, still = 0) => {
    const height = document.querySelector(`#tab-${tab}`)?.offsetHeight ?? 0;
    still = height > 100 && height === before ? still + 1 : 0;
    if (still >= 4 || tries === 0) reveal();
    else setTimeout(() => revealOnceStill(tab, tries - 1, height, still), 50);
  };
  const revealAnyway = () => {
    if (document.querySelector("[role=tab]")) setTimeout(reveal, 4000);
    else setTimeout(revealAnyway, 100);
  };
  revealAnyway();
  addEventListener("popstate", () => { state.restoring = Date.now() + 5000; });

  // Show the tab that a link names, unless the visitor has left the first tab meanwhile.
  const tabToShow = (wanted, first) => {
    const shown = document.querySelector("[role=tab][aria-selected=true]")?.dataset.tabId;
    const stay = !wanted || (shown !== first && !state.restoring);
    if (stay) return { __type__: "update" };
    return { __type__: "update", selected: named(wanted) };
  };

  // Copy a link to what a tab shows; returns the new label of the button.
  const copyLink = (tab, text, style) => {
    const source = JSON.parse(text), url = new URL(location.origin + location.pathname);
    if (!source.zoo_id) return "Uploads are private and have no link";
    const link = { zoo: source.zoo, network: source.zoo_id, tab, style };
    for (const [key, to] of Object.entries(link)) if (to) url.searchParams.set(key, to);
    const done = () => "Link copied", failed = () => "Copy it from the address bar";
    return navigator.clipboard?.writeText(readable(url)).then(done, failed) ?? failed();
  };
  // What the drop zone says of its file, or nothing once another network was chosen.
  const stillShown = (line, source) => {
    const file = /data-file="(\w+)"/.exec(line ?? "")?.[1];
    return file && source.includes(file) ? line : "";
  };
  const after = (ms, text) => new Promise((done) => setTimeout(() => done(text), ms));

  return { state, turns, begin, end, endTurn, hasAnswer, markRace, update, bringIntoView, follow, followQuery, onTab, toTabs, linkRead,
    openFirst, stillShown,     tabToShow, copyLink, after };
})();
