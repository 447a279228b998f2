// Filters, and each section's charts.
const chosen = id => document.getElementById(`filter-${id}`).value;
const visible = cell => (!chosen('layers') || cell.layers === chosen('layers')) && (!chosen('kernel') || cell.kernel === chosen('kernel'));

const views = DATA.sections.map(section => {
  const root = document.getElementById(section.anchor), pick = root.querySelector('select.cell');
  const [scatter, heat, strips] = ['scatter', 'heat', 'strips'].map(name => root.querySelector(`svg.${name}`));
  const points = () => drawScatter(scatter, section, section.cells[Number(pick.value)]);
  const tiles = () => drawHeat(heat, section, visible, i => { pick.value = i; points(); });
  const spread = () => { if (strips) drawStrips(strips, section, visible); };
  pick.addEventListener('change', points);
  redraw(scatter, points);
  redraw(heat, tiles);
  if (strips) redraw(strips, spread);
  return {section, root, pick, points, tiles, spread};
});

function apply() {
  hideTip();
  let cells = 0;
  for (const {section, root, pick, points, tiles, spread} of views) {
    root.hidden = Boolean(chosen('section')) && chosen('section') !== section.anchor;
    section.cells.forEach((cell, i) => {
      const shown = visible(cell);
      root.querySelector(`tr[data-cell="${i}"]`).hidden = !shown;
      pick.options[i].hidden = pick.options[i].disabled = !shown;
      cells += shown && !root.hidden;
    });
    const left = section.cells.map((cell, i) => i).filter(i => visible(section.cells[i]));
    if (left.length && !left.includes(Number(pick.value))) {
      pick.value = left.reduce((a, b) => (section.cells[b].scores.srocc ?? -2) > (section.cells[a].scores.srocc ?? -2) ? b : a);
    }
    if (!root.hidden) [points, tiles, spread].forEach(draw => draw());
  }
  document.getElementById('shown').textContent = `${cells} of ${views.reduce((sum, view) => sum + view.section.cells.length, 0)} cells shown`;
}

document.getElementById('filters').addEventListener('change', apply);
document.getElementById('filters').addEventListener('submit', event => event.preventDefault());
apply();
