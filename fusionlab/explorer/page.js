// Every part of the page that is HTML of our own: its buttons reach the server, tables sort here.
function sort(button) {
  const heading = button.closest('th');
  const body = button.closest('table').tBodies[0];
  const place = Number(button.dataset.sort);
  const down = heading.getAttribute('aria-sort') !== 'descending';
  const value = (row) => row.cells[place].dataset.value;
  const number = heading.classList.contains('fl-number');
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === '' || y === '') return (x === '') - (y === '');  // what is absent stands last
    const order = number ? Number(y) - Number(x) : y.localeCompare(x);
    return down ? order : -order;
  });
  body.append(...rows);
  for (const other of heading.parentElement.cells) other.setAttribute('aria-sort', 'none');
  heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
}

element.addEventListener('click', (event) => {
  const heading = event.target.closest('[data-sort]');
  if (heading) return sort(heading);
  const button = event.target.closest('[data-act]');
  if (!button) return;
  const list = button.closest('[data-list]');
  trigger('act', { ...button.dataset, list: list ? list.dataset.list : '' });
});

// One sound at a time.
element.addEventListener('play', (event) => {
  for (const sound of document.querySelectorAll('audio')) if (sound !== event.target) sound.pause();
}, true);
