// The charts of a report: scatter, layers x kernels, every split. Colours: Okabe and Ito's, and cividis.
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function shade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), below = Math.min(Math.floor(at), CIVIDIS.length - 2);
  const colour = CIVIDIS[below].map((value, i) => Math.round(value + (at - below) * (CIVIDIS[below + 1][i] - value)));
  const light = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2] > 125;
  return {fill: `rgb(${colour})`, ink: light ? '#000000' : '#ffffff'};
}

function drawScatter(svg, section, cell) {
  const width = blank(svg, 360), frame = {left: 38, right: width - 8, top: 24, bottom: 320};
  const shown = cell.predicted.map((value, i) => [value, section.mos[i], section.ids[i]])
    .filter(row => row[0] !== null && row[1] !== null).sort((a, b) => a[0] - b[0]);
  const own = limits(shown.map(row => row[0])), rated = limits(shown.map(row => row[1]));
  const both = [Math.min(own[0], rated[0]), Math.max(own[1], rated[1])];
  const [across, up] = section.cross ? [own, rated] : [both, both];
  const x = linear(...across, frame.left, frame.right), y = linear(...up, frame.bottom, frame.top);
  axes(svg, x, y, ticks(...across, Math.max(3, width / 90)), ticks(...up, 6), frame, ['predicted', `MOS (${section.range.join(' to ')})`]);
  if (!section.cross) {
    node(svg, 'line', {class: 'diagonal', x1: x(both[0]), y1: y(both[0]), x2: x(both[1]), y2: y(both[1])});
  }
  const pictures = DATA.thumbnails[section.videos] ?? {};
  const radius = shown.length > 400 ? 4 : 6;
  rove(shown.map(([predicted, mos, id]) => ({
    element: node(svg, 'circle', {class: 'point', cx: x(predicted), cy: y(mos), r: radius}),
    text: `${id}\npredicted ${short(predicted, 2)}\nMOS ${short(mos, 2)}`,
    picture: pictures[id],
  })));
}

function drawHeat(svg, section, visible, act) {
  const layers = [...new Set(section.cells.map(cell => cell.place))];
  const kernels = [...new Set(section.cells.map(cell => cell.kernel))];
  const rows = layers.map(text => text.split('+'));
  const high = 44, width = blank(svg, 26 + high * layers.length);
  const left = Math.min(10 + 7.5 * Math.max(...rows.flat().map(text => text.length)), width * 0.55);
  const wide = (width - left) / kernels.length;
  const values = section.cells.map(cell => cell.scores.srocc).filter(value => value !== null);
  const low = values.length ? Math.min(...values) : 0, span = (Math.max(...values) - low) || 1;
  kernels.forEach((kernel, i) => node(svg, 'text', {x: left + (i + 0.5) * wide, y: 14, 'text-anchor': 'middle'}, kernel));
  layers.forEach((text, i) => rows[i].forEach((part, k) => node(svg, 'text', {
    x: 0, y: 26 + high * i + high / 2 + 4 + 13 * (k - (rows[i].length - 1) / 2)}, k ? `+ ${part}` : part)));
  const tops = new Map(); // the better of two cells of the same place
  section.cells.forEach((cell, i) => {
    const place = `${layers.indexOf(cell.place)} ${kernels.indexOf(cell.kernel)}`, other = tops.get(place);
    if (other === undefined || (cell.scores.srocc ?? -2) > (section.cells[other].scores.srocc ?? -2)) tops.set(place, i);
  });
  const items = [];
  for (const [place, i] of tops) {
    const [row, column] = place.split(' ').map(Number), cell = section.cells[i], score = cell.scores.srocc;
    const {fill, ink} = shade(score === null ? 0 : (score - low) / span);
    const group = node(svg, 'g', visible(cell) ? {} : {class: 'faded'});
    const box = {x: left + column * wide + 1, y: 26 + row * high + 1, width: wide - 2, height: high - 2};
    const tile = node(group, 'rect', {class: 'tile', ...box, fill});
    if (i === section.best) node(group, 'rect', {class: 'tile-best', ...box, 'pointer-events': 'none'});
    const label = node(group, 'text', {x: box.x + box.width / 2, y: box.y + box.height / 2 + 4, 'text-anchor': 'middle', 'pointer-events': 'none'},
      short(score) + (i === section.best ? ' ★' : ''));
    label.style.fill = ink;
    items.push({element: tile, act: () => act(i), row, column,
      text: `${cell.name}\nSROCC ${short(score)}, PLCC ${short(cell.scores.plcc)}\n${cell.verdict || 'not compared'}`});
  }
  rove(items.sort((a, b) => a.row - b.row || a.column - b.column));
}

function drawStrips(svg, section, visible) {
  const cells = section.cells.filter(cell => cell.splits && visible(cell));
  const high = 44, width = blank(svg, 56 + high * cells.length);
  const frame = {left: 8, right: width - 12, top: 8, bottom: 16 + high * cells.length};
  const [low, top] = limits(cells.flatMap(cell => cell.splits.srocc)), x = linear(low, top, frame.left, frame.right);
  axes(svg, x, null, ticks(low, top, Math.max(3, width / 100)), [], frame, ['SROCC of one split']);
  rove(cells.map((cell, place) => {
    const known = cell.splits.srocc.filter(value => value !== null).sort((a, b) => a - b), y = 16 + high * place;
    const row = node(svg, 'g', {class: 'row'}), kind = cell.kernel === 'rbf' ? 'rbf' : '';
    node(row, 'rect', {class: 'row-back', x: 0, y: y - 2, width, height: high - 2});
    node(row, 'text', {x: frame.left, y: y + 10}, `${cell.name}${section.cells[section.best] === cell ? ' ★' : ''}`);
    if (!known.length) return {element: row, text: `${cell.name}\nno split could be scored`};
    known.forEach((value, i) => node(row, 'circle', {class: `dot ${kind}`, cx: x(value), cy: y + 26 + (i * 7 % 11 - 5), r: 2}));
    const [first, middle, third] = [0.25, 0.5, 0.75].map(share => quantile(known, share));
    node(row, 'rect', {class: `box ${kind}`, x: x(first), y: y + 18, width: Math.max(x(third) - x(first), 1), height: 16});
    node(row, 'line', {class: 'median', x1: x(middle), x2: x(middle), y1: y + 16, y2: y + 36});
    return {element: row, text: `${cell.name}\nmedian ${short(middle)}, quartiles ${short(first)} to ${short(third)}\nlowest ${short(known[0])}, highest ${short(known[known.length - 1])}`};
  }));
}
