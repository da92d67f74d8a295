"use strict";
const rows = [...document.querySelectorAll("tbody tr")];
const step = document.getElementById("step"), why = document.getElementById("why");
let now = 0;
function go(to) {
  now = Math.max(0, Math.min(rows.length - 1, to));
  rows.forEach((row, n) => row.classList.toggle("now", n === now));
  rows[now].scrollIntoView({ block: "center" });
  step.textContent = "Step " + (now + 1) + " of " + rows.length + ": " + rows[now].dataset.step;
}
function explain(button) {
  document.querySelectorAll("[aria-pressed=true]").forEach(b => b.setAttribute("aria-pressed", "false"));
  button.setAttribute("aria-pressed", "true");
  go(rows.indexOf(button.closest("tr")));
  why.textContent = button.getAttribute("aria-label");
}
document.addEventListener("click", e => {
  const button = e.target.closest("button");
  if (!button) return;
  if (button.id === "back") go(now - 1);
  else if (button.id === "forth") go(now + 1);
  else explain(button);
});
document.addEventListener("keydown", e => {
  if (e.key === "ArrowDown" || e.key === "j") { go(now + 1); e.preventDefault(); }
  if (e.key === "ArrowUp" || e.key === "k") { go(now - 1); e.preventDefault(); }
});
go(0);
