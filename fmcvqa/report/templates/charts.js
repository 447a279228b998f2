'use strict';
// Drawing, tooltips and arrow keys: what all charts share.
const DATA = JSON.parse(document.getElementById('data').textContent);
const TIP = document.getElementById('tip');

function node(parent, name, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function blank(svg, height) {
  const width = Math.max(svg.clientWidth, 200);
  svg.replaceChildren();
  svg.setAttribute('height', height);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  return width;
}

function linear(low, high, from, to) {
  const span = (high - low) || 1;
  return value => from + (value - low) / span * (to - from);
}

function ticks(low, high, count) {
  const raw = ((high - low) || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(times => times * power).find(candidate => candidate >= raw);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(+(k * step).toPrecision(12));
  return found.length < 2 && low < high ? ticks(low, high, 2 * count) : found; // one tick says nothing of the scale
}

function limits(values) {
  const known = values.filter(value => value !== null);
  if (!known.length) return [0, 1];
  const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  const flat = high - low < 1e-9 * Math.max(1, Math.abs(low), Math.abs(high)); // no steps between these can be counted
  const margin = 0.05 * (flat ? 1 : high - low);
  return [low - margin, high + margin];
}

const short = (value, digits = 3) => value === null ? 'n/a' : value.toFixed(digits);

function quantile(sorted, share) {
  const at = (sorted.length - 1) * share, below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

function showTip(target, text, picture) {
  TIP.replaceChildren();
  if (picture) {
    const image = new Image();
    image.src = picture;
    image.alt = '';
    TIP.append(image);
  }
  TIP.append(text);
  TIP.hidden = false;
  const box = target.getBoundingClientRect(), room = document.documentElement.clientWidth;
  const left = Math.min(Math.max(box.left + box.width / 2 - TIP.offsetWidth / 2, 4), room - TIP.offsetWidth - 4);
  const above = box.top - TIP.offsetHeight - 10;
  TIP.style.left = `${Math.max(left, 4) + scrollX}px`;
  TIP.style.top = `${(above > 0 ? above : box.bottom + 10) + scrollY}px`;
}

const hideTip = () => { TIP.hidden = true; };
addEventListener('keydown', event => { if (event.key === 'Escape') hideTip(); });

// One stop of the Tab key per chart; arrows, Home and End move within it. Each item: {element, text, picture, act}.
function rove(items) {
  items.forEach(({element, text, picture, act}, place) => {
    element.setAttribute('tabindex', place ? -1 : 0);
    element.setAttribute('role', act ? 'button' : 'img');
    element.setAttribute('aria-label', text.replaceAll('\n', ', '));
    const show = () => showTip(element, text, picture);
    element.addEventListener('focus', show);
    element.addEventListener('blur', hideTip);
    element.addEventListener('pointerenter', show);
    element.addEventListener('pointerleave', hideTip);
    element.addEventListener('click', () => { element.focus(); if (act) act(); });
    element.addEventListener('keydown', event => {
      const moves = {ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1,
        Home: 0, End: items.length - 1};
      if (act && (event.key === 'Enter' || event.key === ' ')) {
        event.preventDefault();
        act();
      }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = items[Math.min(Math.max(moves[event.key], 0), items.length - 1)].element;
      element.setAttribute('tabindex', -1);
      next.setAttribute('tabindex', 0);
      next.focus();
    });
  });
}

function axes(svg, x, y, xs, ys, frame, names) {
  for (const value of xs) {
    node(svg, 'line', {class: 'grid', x1: x(value), x2: x(value), y1: frame.top, y2: frame.bottom});
    node(svg, 'text', {class: 'soft', x: x(value), y: frame.bottom + 16, 'text-anchor': 'middle'}, String(value));
  }
  for (const value of ys) {
    node(svg, 'line', {class: 'grid', x1: frame.left, x2: frame.right, y1: y(value), y2: y(value)});
    node(svg, 'text', {class: 'soft', x: frame.left - 6, y: y(value) + 4, 'text-anchor': 'end'}, String(value));
  }
  node(svg, 'text', {x: (frame.left + frame.right) / 2, y: frame.bottom + 34, 'text-anchor': 'middle'}, names[0]);
  if (names[1]) node(svg, 'text', {x: 0, y: frame.top - 8}, names[1]);
}

function redraw(element, draw) { // now, and again only when the width has changed: focus would be lost
  let width = element.clientWidth;
  if (width) draw();
  new ResizeObserver(() => {
    if (element.clientWidth !== width) {
      width = element.clientWidth;
      if (width) draw();
    }
  }).observe(element);
}
