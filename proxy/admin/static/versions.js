// One colour and pattern for each version, the same wherever it is named. The stable one has the first; what has one
// keeps it while the page is open, so that nothing changes its colour at the moment when another becomes stable.

const COLOURS = 6;
const places = new Map(); // service to its versions, each at the place of its colour
let served = new Map(); // route to service

export function learn({ services }) {
  for (const service of services) {
    const names = ordered(service).map((one) => one.version);
    const taken = (places.get(service.service) ?? []).map((name) => (names.includes(name) ? name : null));
    for (const name of names.filter((one) => !taken.includes(one))) {
      const free = taken.indexOf(null);
      taken[free < 0 ? taken.length : free] = name;
    }
    places.set(service.service, taken);
  }
  served = new Map(services.flatMap((one) => one.rules.map((rule) => [rule.route, one])));
}

/** The stable version, then the others; then those that left the rules, with something left or lately. */
export function ordered(service) {
  const versions = service.versions.map((one) => ({ ...one, gone: false }));
  versions.sort((a, b) => (b.version === service.stable) - (a.version === service.stable));
  const left = [...service.draining, ...service.idle.map((one) => ({ ...one, ...NOTHING_LEFT }))];
  return [...versions, ...left.map((one) => ({ ...one, gone: true, endpoints: [] }))];
}

const NOTHING_LEFT = { state: "idle", in_flight: 0, tunnels: 0 };

/** The class of a version; `otherwise` is the place of one that is not shown. */
export function colour(service, version, otherwise = 0) {
  const place = places.get(service)?.indexOf(version) ?? -1;
  return `v${(place < 0 ? otherwise : place) % COLOURS}`;
}

export const serviceOf = (route) => served.get(route);
