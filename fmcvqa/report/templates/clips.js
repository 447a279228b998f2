// Filters, order, and a chart per clip that has a score per second.
const list = document.getElementById('clips');

function drawTimeline(svg, clip) {
  const width = blank(svg, 150), frame = {left: 34, right: width - 8, top: 18, bottom: 112};
  const last = clip.timeline[clip.timeline.length - 1].end, x = linear(0, last, frame.left, frame.right);
  const [low, high] = limits([clip.score, ...clip.timeline.map(window => window.score)]), y = linear(low, high, frame.bottom, frame.top);
  axes(svg, x, y, ticks(0, last, Math.max(2, width / 90)), ticks(low, high, 3), frame, ['seconds']);
  node(svg, 'line', {class: 'diagonal', x1: frame.left, x2: frame.right, y1: y(clip.score), y2: y(clip.score)});
  const spots = clip.timeline.map(window => [x((window.start + window.end) / 2), y(window.score)]);
  node(svg, 'polyline', {class: 'line', points: spots.map(spot => spot.join(',')).join(' ')});
  rove(clip.timeline.map((window, i) => ({
    element: node(svg, 'circle', {class: 'point', cx: spots[i][0], cy: spots[i][1], r: 5}),
    text: `second ${short(window.start, 0)} to ${short(window.end, 0)}\nscore ${short(window.score, 2)}`,
  })));
}

for (const clip of DATA.clips) {
  const svg = document.getElementById(clip.anchor).querySelector('svg.timeline');
  if (svg) redraw(svg, () => drawTimeline(svg, clip));
}

function apply() {
  const [name, kind, order] = ['filter-name', 'filter-kind', 'order'].map(id => document.getElementById(id).value);
  const sign = Number(order), worth = clip => clip.score === null ? Infinity : sign * clip.score; // failures last
  const ordered = sign ? [...DATA.clips].sort((a, b) => worth(a) === worth(b) ? 0 : worth(a) - worth(b)) : DATA.clips;
  let shown = 0;
  for (const clip of ordered) {
    const item = document.getElementById(clip.anchor);
    item.hidden = !clip.name.toLowerCase().includes(name.toLowerCase()) || Boolean(kind && !clip.kinds.includes(kind));
    shown += !item.hidden;
    list.append(item);
  }
  document.getElementById('shown').textContent = `${shown} of ${DATA.clips.length} clips shown`;
}

for (const kind of ['input', 'change']) document.getElementById('filters').addEventListener(kind, apply);
document.getElementById('filters').addEventListener('submit', event => event.preventDefault());
apply();
