// Guess before you look: the predicted and measured accuracy stay hidden until the visitor has guessed.
// The score (mean error of the visitor and the predictor, in points) is kept for this page only.
(() => {
  const rounds = [];
  const find = (selector) => document.querySelector(selector);
  const answer = () => find("#accuracy .accuracy");
  const points = (a, b) => Math.abs(100 * (a - b));
  const mean = (key) => rounds.reduce((sum, round) => sum + round[key], 0) / rounds.length;
  const inWords = (value) => `${value.toFixed(1)} points`;

  const say = (text) => { find("#game output").textContent = text; };
  const setOn = (on) => {
    document.body.toggleAttribute("data-guess", on);
    find("#game [data-game=toggle]").setAttribute("aria-pressed", on);
    say(on ? "What percentage of test images will it classify correctly? Choose, then look." : "");
  };
  const look = () => {
    const card = answer(), guess = find("#game input").value / 100;
    if (!card || card.dataset.revealed) return;
    card.dataset.revealed = true;
    const predicted = Number(card.dataset.predicted), measured = Number(card.dataset.measured);
    if (!card.dataset.measured) return say(`Your guess is ${Math.round(100 * guess)}%. Measure it below to see who is closer.`);
    if (!card.dataset.predicted) return say("The predictor has no number for this network.");
    rounds.push({ visitor: points(guess, measured), predictor: points(predicted, measured) });
    const last = rounds.at(-1), more = rounds.length > 1
      ? ` Over ${rounds.length} networks: you ${inWords(mean("visitor"))}, the predictor ${inWords(mean("predictor"))}.` : "";
    say(`You were ${inWords(last.visitor)} off, the predictor ${inWords(last.predictor)}.${more}`);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#game [data-game]");
    if (!button) return;
    if (button.dataset.game === "toggle") setOn(!document.body.hasAttribute("data-guess"));
    else look();
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("#game input")) find("#game b").textContent = `${event.target.value}%`;
  });
})();
