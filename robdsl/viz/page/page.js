"use strict";
// Pan, zoom, hover, open, mark: everything on the page is already there, this shows and hides it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const drawing = document.getElementById("drawing");
  const select = document.getElementById("views");
  const back = document.getElementById("back");
  const facts = document.getElementById("facts");
  const source = document.getElementById("source");
  const views = new Map();
  for (const view of drawing.querySelectorAll(".view")) {
    const svg = view.querySelector("svg");
    const box = svg.viewBox.baseVal;
    const whole = { x: box.x, y: box.y, w: box.width, h: box.height };
    views.set(view.dataset.view, { view, svg, whole, now: { ...whole } });
  }
  let active = null;
  let hot = null;
  let pinned = false; // whether what is shown was clicked or has the focus, so that moving the pointer away leaves it

  // --- which view

  function show(name, push) {
    if (!views.has(name)) name = "net";
    if (active === views.get(name)) return;
    if (active) active.view.hidden = true;
    active = views.get(name);
    active.view.hidden = false;
    select.value = name;
    back.disabled = name === "net";
    forget();
    fit();
    if (push) history.pushState(null, "", "#" + name);
  }

  function fit() {
    active.now = { ...active.whole };
    const wide = drawing.clientWidth, tall = drawing.clientHeight;
    // On a narrow screen a wide drawing would be a thin stripe: begin at its left end, at a size that can be read.
    if (wide && tall && wide < 700) {
      const share = (active.whole.h / active.whole.w) / (tall / wide);
      if (share < 0.3) active.now.w = active.whole.w * Math.max(share * 1.3, 0.25);
      active.now.h = Math.max(active.whole.h, active.now.w * tall / wide);
      active.now.y = (active.whole.h - active.now.h) / 2;
    }
    place();
  }

  function place() {
    const { x, y, w, h } = active.now;
    active.svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
  }

  // --- moving about

  function toDrawing(clientX, clientY) {
    const point = new DOMPoint(clientX, clientY).matrixTransform(active.svg.getScreenCTM().inverse());
    return { x: point.x, y: point.y };
  }

  function zoom(factor, at) {
    const { now, whole } = active;
    const w = Math.min(whole.w * 4, Math.max(whole.w / 60, now.w / factor));
    const scale = w / now.w;
    const centre = at || { x: now.x + now.w / 2, y: now.y + now.h / 2 };
    now.x = centre.x - (centre.x - now.x) * scale;
    now.y = centre.y - (centre.y - now.y) * scale;
    now.w *= scale;
    now.h *= scale;
    place();
  }

  function pan(dx, dy) {
    active.now.x += dx;
    active.now.y += dy;
    place();
  }

  const pointers = new Map();
  let moved = 0;
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 1) moved = 0;
  });
  window.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const from = toDrawing(before.x, before.y), to = toDrawing(event.clientX, event.clientY);
    moved += Math.abs(event.clientX - before.x) + Math.abs(event.clientY - before.y);
    if (pointers.size === 1 && moved > 5) {
      drawing.classList.add("moving");
      pan(from.x - to.x, from.y - to.y);
    } else if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = Math.hypot(before.x - other.x, before.y - other.y);
      const now = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      if (apart > 0 && now > 0) zoom(now / apart, toDrawing((event.clientX + other.x) / 2, (event.clientY + other.y) / 2));
    }
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) drawing.classList.remove("moving");
    });
  }
  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), toDrawing(event.clientX, event.clientY));
  }, { passive: false });

  // --- what is pointed at

  function markOf(target) {
    const group = target instanceof Element ? target.closest("g[data-id]") : null;
    return group && Object.hasOwn(data.facts, group.dataset.id) ? group : null;
  }

  function tell(group) {
    if (group === hot) return;
    forget();
    hot = group;
    group.classList.add("hot");
    if (group.dataset.source) active.svg.classList.add("dimmed");
    const known = data.facts[group.dataset.id];
    const list = document.createElement("dl");
    for (const [name, value] of known.said) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      list.append(dt, dd);
    }
    facts.replaceChildren(list);
    if (group.dataset.opens) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Open this cell";
      button.addEventListener("click", () => show(group.dataset.opens, true));
      facts.append(button);
    }
    let first = null;
    for (const [file, from, to] of known.lines) {
      for (let line = from; line <= to; line++) {
        const item = source.querySelector(`li[data-line="${file}-${line}"]`);
        if (item) item.classList.add("marked");
        first = first || item;
      }
    }
    if (first) {
      const top = first.getBoundingClientRect().top - source.getBoundingClientRect().top + source.scrollTop;
      if (top < source.scrollTop + 30 || top > source.scrollTop + source.clientHeight - 40) {
        source.scrollTop = top - source.clientHeight / 3;
      }
    }
  }

  function forget() {
    pinned = false;
    if (!hot) return;
    hot.classList.remove("hot");
    for (const { svg } of views.values()) svg.classList.remove("dimmed");
    for (const item of source.querySelectorAll(".marked")) item.classList.remove("marked");
    hot = null;
  }

  drawing.addEventListener("pointerover", (event) => {
    const group = markOf(event.target);
    if (group && event.pointerType === "mouse" && !pointers.size) {
      tell(group);
      pinned = false;
    }
  });
  drawing.addEventListener("pointerleave", () => { if (!pinned) forget(); });
  drawing.addEventListener("click", (event) => {
    if (moved > 5) return;
    const group = markOf(event.target);
    if (!group) return forget();
    if (group.dataset.opens) return show(group.dataset.opens, true);
    tell(group);
    pinned = true;
  });
  drawing.addEventListener("focusin", (event) => {
    const group = markOf(event.target);
    if (group) {
      tell(group);
      pinned = true;
    }
  });

  // --- keys and buttons

  const keys = {
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit,
    ArrowLeft: () => pan(-active.now.w / 12, 0), ArrowRight: () => pan(active.now.w / 12, 0),
    ArrowUp: () => pan(0, -active.now.h / 12), ArrowDown: () => pan(0, active.now.h / 12),
  };
  drawing.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const group = markOf(event.target);
    if ((event.key === "Enter" || event.key === " ") && group && group.dataset.opens) {
      event.preventDefault();
      show(group.dataset.opens, true);
      drawing.focus();
    } else if (Object.hasOwn(keys, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (hot && pinned && active !== views.get("net")) forget();
      else show("net", true);
    }
  });
  document.getElementById("closer").addEventListener("click", () => zoom(1.25));
  document.getElementById("further").addEventListener("click", () => zoom(0.8));
  document.getElementById("fit").addEventListener("click", fit);
  back.addEventListener("click", () => show("net", true));
  select.addEventListener("change", () => show(select.value, true));
  window.addEventListener("popstate", () => show(location.hash.slice(1) || data.start, false));

  for (const { view, svg } of views.values()) {
    for (const group of svg.querySelectorAll("g[data-id]")) {
      if (!Object.hasOwn(data.facts, group.dataset.id)) continue;
      const stage = group.classList.contains("stage"), inside = view.dataset.view.startsWith("cell-");
      const owner = group.dataset.id.split("/")[0];
      if (!inside && Object.hasOwn(data.opens, owner)) group.dataset.opens = data.opens[owner];
      // In a cell all can be reached by the Tab key; in the whole net the stages, or there would be no end of it.
      if (stage || inside) {
        group.setAttribute("tabindex", "0");
        group.setAttribute("role", group.dataset.opens ? "button" : "img");
        group.setAttribute("aria-label", data.facts[group.dataset.id].said.map((said) => said.join(": ")).join(", "));
      }
    }
    svg.removeAttribute("role");
  }
  show(views.has(location.hash.slice(1)) ? location.hash.slice(1) : data.start, false);
})();
