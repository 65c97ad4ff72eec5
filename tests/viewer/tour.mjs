// Goes where the links of a result lead; stdin: the plan that tour.py writes. Exit code 1 when anything is complained of.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const plan = JSON.parse(readFileSync(0, 'utf8'));
const LABEL_MAP = '1.2.840.10008.5.1.4.1.1.66.7';
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const wrong = new Set();
page.on('console', message => message.type() === 'error' && wrong.add(`console: ${message.text().slice(0, 300)}`));
page.on('pageerror', error => wrong.add(`page: ${String(error).slice(0, 300)}`));
page.on('response', answer => answer.status() >= 400 && wrong.add(`${answer.status()} ${answer.url()}`));
page.on('request', request => {
  const { protocol, hostname } = new URL(request.url());
  if (protocol.startsWith('http') && hostname !== '127.0.0.1') wrong.add(`another host: ${request.url()}`);
});

// Software rendering, and no event says "all is drawn".
const settle = seconds => page.waitForTimeout(seconds * 1000);
const shoot = name => page.screenshot({ path: `${plan.out}/${name}.png` });

async function click(text) {
  return page.getByText(text, { exact: true }).first().click({ timeout: 5000 }).then(() => true, () => false);
}

// The number of the image that is shown, from 1, as the corner of the viewport says: "I:18 (18/64)".
async function findImage() {
  const text = await page.getByText(/\(\d+\/\d+\)/).first().textContent();
  return Number(/\((\d+)\//.exec(text)[1]);
}

async function scrollTo(number) {
  await page.mouse.move(760, 420);
  for (let turn = 0; turn < 200; turn++) {
    const at = await findImage();
    if (at === number) break;
    await page.mouse.wheel(0, at < number ? 120 : -120);
    await settle(0.4);
  }
  await settle(3);
}

async function open(address) {
  await page.goto(address);
  await page.getByText(/\(\d+\/\d+\)|LOAD/).first().waitFor({ timeout: 120000 });
  await settle(20);
  await click('Confirm and hide');
}

async function takeOver() {
  if (!(await click('Yes'))) wrong.add('OHIF does not offer to open the segmentation');
  await settle(10);
}

await page.goto(plan.result);
const links = {};
for (const name of ['segmentation', 'report']) {
  links[name] = await page.locator('a[href*="/viewer?"]', { hasText: name }).first().getAttribute('href');
  if (!links[name].startsWith(plan.viewer)) wrong.add(`the link leads to ${links[name]}`);
}
const found = await page.evaluate(async address => (await fetch(address)).json(),
  `${plan.dicomweb}/studies/${plan.study}/instances?SOPClassUID=${LABEL_MAP}`);
await settle(3);

await page.goto(plan.viewer);
await page.getByText('Chest').first().waitFor({ timeout: 60000 });
await shoot('wetread-studies');

await open(links.report);
const lesion = await findImage();
await shoot('wetread-report');

await open(links.segmentation);
if (!(await page.evaluate(() => crossOriginIsolated))) wrong.add('the page shares no memory with its workers');
await shoot('wetread-segmentation-opened');
await takeOver();
await scrollTo(lesion);
await shoot('wetread-segmentation');

const series = found[0]['0020000E'].Value[0];
await open(`${plan.viewer}/viewer?StudyInstanceUIDs=${plan.study}&initialSeriesInstanceUID=${series}`);
await takeOver();
await scrollTo(lesion);
await shoot('wetread-label-map');

console.log(`the report opened on image ${lesion}; complaints: ${wrong.size}`);
for (const text of wrong) console.error(text);
await browser.close();
process.exit(wrong.size ? 1 : 0);
