// Forms a network with zigbee-herdsman's ember adapter on an emulated stick, lets a sensor join, interviews it, binds,
// configures reporting, receives its reports in order, lets it identify itself, opens a door, starts again on the network
// it has formed, and moves it to another channel.
//
// node herdsman.mjs PACKAGE PORT CONTROL_SOCKET DIRECTORY      (started by run.py)

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";

const [wanted, port, control, directory] = process.argv.slice(2);
const { Controller, setLogger } = (await import(wanted)).default;
const REPORTS = 50;
const PATIENCE_MS = 30_000;

const quiet = () => {};
const loud = process.env.VERBOSE ? (text, namespace) => console.error(namespace, typeof text === "function" ? text() : text) : quiet;
setLogger({ debug: loud, info: loud, warning: loud, error: (text) => console.error(text) });

async function order(words) {
    const socket = net.connect(control);
    socket.end(`${words}\n`);
    const [answer] = await once(socket.setEncoding("utf8"), "data");
    const found = JSON.parse(answer);
    assert.ok(found.ok, `${words}: ${found.outcome}`);
}

const serial = { path: port, adapter: "ember", baudRate: 115200, rtscts: false };

function controller(channel = 15) {
    return new Controller({
        network: { panID: 0x1a62, extendedPanID: [1, 2, 3, 4, 5, 6, 7, 8], channelList: [channel] },
        serialPort: serial, // up to 10
        transport: { ...serial }, // from 11 on
        databasePath: path.join(directory, "devices.db"),
        backupPath: path.join(directory, "backup.json"),
        adapter: {},
        acceptJoiningDeviceHandler: async () => true,
    });
}

function when(emitter, event, isIt) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${event} within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
        emitter.on(event, (payload) => {
            if (isIt(payload)) {
                clearTimeout(timer);
                resolve(payload);
            }
        });
    });
}

async function join(host, name, model) {
    const interviewed = when(host, "deviceInterview", ({ status, device }) => {
        assert.notEqual(status, "failed", `interview of ${name} failed`);
        return status === "successful" && device.modelID === model;
    });
    await order(`press ${name}`);
    return (await interviewed).device;
}

async function receivesReports(host, device) {
    const endpoint = device.getEndpoint(1);
    await endpoint.bind("msTemperatureMeasurement", host.getDevicesByType("Coordinator")[0].getEndpoint(1));
    await endpoint.configureReporting("msTemperatureMeasurement", [
        { attribute: "measuredValue", minimumReportInterval: 0, maximumReportInterval: 3600, reportableChange: 1 },
    ]);
    const received = [];
    const all = when(host, "message", ({ type, cluster, data }) => {
        if (type === "attributeReport" && cluster === "msTemperatureMeasurement") {
            received.push(data.measuredValue);
        }
        return received.length === REPORTS;
    });
    const sent = Array.from({ length: REPORTS }, (_, count) => 1500 + count * 10);
    for (const value of sent) {
        await order(`set bedroom temperature_c=${value / 100}`);
    }
    await all;
    assert.deepEqual(received, sent);
}

async function opensDoor(host) {
    const door = await join(host, "door", "contact");
    const opened = when(host, "message", ({ type }) => type === "commandStatusChangeNotification");
    await order("set door contact=1");
    assert.equal((await opened).data.zonestatus, 1);
    return door;
}

async function main() {
    const first = controller();
    assert.equal(await first.start(), "reset");
    await first.permitJoin(60);
    const router = await join(first, "plug", "plug");
    assert.equal(router.type, "Router");
    const sensor = await join(first, "bedroom", "climate");
    assert.equal(sensor.type, "EndDevice");
    assert.equal(sensor.manufacturerName, "climahub");
    await receivesReports(first, sensor);
    assert.deepEqual(await sensor.getEndpoint(1).read("msRelativeHumidity", ["measuredValue"]), { measuredValue: 4800 });
    await sensor.getEndpoint(1).command("genIdentify", "identify", { identifytime: 5 }, {});
    await opensDoor(first);
    const neighbours = await router.lqi();
    assert.ok(neighbours.some(({ nwkAddress }) => nwkAddress === 0), "the router does not hear the stick");
    await first.permitJoin(0);
    await first.stop();

    const second = controller(20);
    assert.equal(await second.start(), "resumed");
    assert.equal((await second.getNetworkParameters()).channel, 20);
    const again = second.getDeviceByIeeeAddr(sensor.ieeeAddr);
    const report = when(second, "message", ({ type, device }) => type === "attributeReport" && device === again);
    await order("set bedroom temperature_c=30");
    assert.equal((await report).data.measuredValue, 3000);
    await sensor.constructor.byIeeeAddr(sensor.ieeeAddr).removeFromNetwork();
    await second.stop();
}

await main();
process.exit(0);
