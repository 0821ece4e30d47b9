'use strict';
// Comfort only: the page says all it has to say without scripts.

// Tables: headings become buttons. Numbers are sorted by their data-key, largest first at the first click; cells without one come last either way.
const collator = new Intl.Collator('en', { numeric: true });

function sort(table, column, isNumber, descending) {
  const body = table.tBodies[0];
  const sign = descending ? -1 : 1;
  const keyed = Array.from(body.rows, row => {
    const cell = row.cells[column];
    if (isNumber) return { row, key: 'key' in cell.dataset ? Number(cell.dataset.key) : null };
    return { row, key: cell.textContent };
  });
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * (isNumber ? a.key - b.key : collator.compare(a.key, b.key));
  });
  body.append(...keyed.map(entry => entry.row));
}

for (const table of document.querySelectorAll('table')) {
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const isNumber = heading.classList.contains('n');
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    heading.setAttribute('aria-sort', 'none');
    button.addEventListener('click', () => {
      const before = heading.getAttribute('aria-sort');
      const descending = before === 'none' ? isNumber : before === 'ascending';
      for (const other of headings) other.setAttribute('aria-sort', 'none');
      heading.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      sort(table, column, isNumber, descending);
    });
  });
}

// Marks of charts: what they say when pointed at or touched. The browser's own tooltip, which comes late and never on a phone, makes room.
const tip = document.createElement('div');
tip.id = 'tip';
tip.hidden = true;
document.body.append(tip);
const texts = new Map();
for (const mark of document.querySelectorAll('.chart .mark')) {
  const title = mark.querySelector(':scope > title');
  if (!title) continue;
  texts.set(mark, title.textContent);
  title.remove();
}

function show(event) {
  const text = texts.get(event.target.closest?.('.mark'));
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const width = document.documentElement.clientWidth;
  const left = Math.min(Math.max(event.clientX - tip.offsetWidth / 2, 8), width - tip.offsetWidth - 8);
  const above = event.clientY - tip.offsetHeight - 14;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : event.clientY + 18) + scrollY}px`;
}
document.addEventListener('pointermove', show);
document.addEventListener('pointerdown', show);

// The figures that the page holds, as a file.
const download = document.getElementById('download');
download.href = URL.createObjectURL(new Blob([document.getElementById('figures').textContent], { type: 'application/json' }));
download.hidden = false;

// A card that a link leads to opens.
function reveal() {
  const card = location.hash && document.getElementById(location.hash.slice(1));
  if (card instanceof HTMLDetailsElement) card.open = true;
}
addEventListener('hashchange', reveal);
reveal();
// On paper nothing can be opened.
addEventListener('beforeprint', () => { for (const card of document.querySelectorAll('details')) card.open = true; });
