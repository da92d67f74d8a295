"use strict";
const rows = [...document.querySelectorAll("tbody tr")];
const step = document.getElementById("step"), why = document.getElementById("why");
let now = 0;
const space = document.querySelector(".space"), svg = space.querySelector("svg");
function shape(name, attributes, inside) {
  const made = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  inside.append(made);
  return made;
}
// From the column of who sent it, at the row where it left, to where it came.
function draw() {
  svg.replaceChildren();
  const box = space.getBoundingClientRect();
  svg.setAttribute("width", box.width);
  svg.setAttribute("height", box.height);
  const spot = (row, column) => {
    const cell = rows[row].cells[column + 1].getBoundingClientRect();
    return { x: cell.left - box.left, y: cell.top - box.top + 11 };
  };
  rows.forEach((row, n) => row.dataset.arrows.split(" ").filter(Boolean).forEach((arrow, k) => {
    const [from, to, since] = arrow.split(",").map(Number), start = spot(since, from), end = spot(n, to);
    const x1 = start.x, y1 = start.y + k % 4 * 3, x2 = end.x + (x1 < end.x ? -2 : 4);
    const y2 = end.y + k % 4 * 3, angle = Math.atan2(y2 - y1, x2 - x1);
    const barb = turn => (x2 - 7 * Math.cos(angle + turn)) + "," + (y2 - 7 * Math.sin(angle + turn));
    shape("path", { d: `M${x1},${y1} L${x2},${y2} M${barb(.5)} L${x2},${y2} L${barb(-.5)}`,
      "data-row": n }, svg);
  }));
}
function go(to) {
  now = Math.max(0, Math.min(rows.length - 1, to));
  rows.forEach((row, n) => row.classList.toggle("now", n === now));
  rows[now].scrollIntoView({ block: "center" });
  svg.querySelectorAll("path").forEach(p => p.classList.toggle("now", +p.dataset.row === now));
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
addEventListener("resize", () => { draw(); go(now); });
draw();
go(0);
