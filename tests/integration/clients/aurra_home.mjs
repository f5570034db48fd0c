// AURRA Home as its published JavaScript snippet calls it, with another base URL: fetch, JSON, no library.
// Arguments: base URL, client id, client secret, device. Prints one JSON object.

const [base, clientId, clientSecret, device] = process.argv.slice(2);

async function getToken() {
  const response = await fetch(`${base}/auth/token`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ client_id: clientId, client_secret: clientSecret, grant_type: "client_credentials" }),
  });
  if (!response.ok) throw new Error(`token: ${response.status}`);
  return (await response.json()).access_token;
}

async function call(token, method, path, body) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  return { status: response.status, body: await response.json(), tier: response.headers.get("X-RateLimit-Tier") };
}

const token = await getToken();
const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const zone = `/thermostat/${device}`;
console.log(
  JSON.stringify({
    status: await call(token, "GET", `${zone}/status`),
    setpoint: await call(token, "POST", `${zone}/setpoint`, { temperature: 69, mode: "heat" }),
    schedule: await call(token, "POST", `${zone}/schedule`, {
      name: "Weekday",
      blocks: [{ label: "Night", start: "22:00", end: "04:00", heat: 62, cool: 80, days }],
    }),
    sync: await call(token, "POST", `${zone}/schedule/sync`),
    eco: await call(token, "POST", `${zone}/eco`, { enabled: true, heat_limit: 62, cool_limit: 78 }),
    vibration: await call(token, "POST", "/diagnostics/vibration", {
      device_id: device, timestamp: new Date(0).toISOString(), amplitude: 0.5, frequency: 60.0, duration_ms: 1000,
    }),
    energy: await call(token, "POST", "/diagnostics/energy", {
      device_id: device, runtime_mins: 10, voltage: 240.0, current_amps: 8.5, period_start: new Date(0).toISOString(),
    }),
    prediction: await call(token, "GET", `/predictive/hvac/${device}/status`),
    alert: await call(token, "POST", "/alerts", {
      device_id: device, issue: "Compressor wear", confidence: 0.87, action: "Inspect", priority: "high",
    }),
    optimize: await call(token, "POST", "/climate/optimize", { device_id: device, mode: "balanced" }),
    voice: await call(token, "POST", "/integration/voice-assistant", {
      device_id: device, platform: "Alexa", user_token: "amzn-token",
    }),
  }),
);
