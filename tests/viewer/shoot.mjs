// Opens OHIF in Debian's chromium and takes its picture; stdin: the plan that shoot.py writes.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const plan = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const said = new Set();
page.on('console', message => message.type() === 'error' && said.add(message.text().slice(0, 300)));
page.on('pageerror', error => said.add(String(error).slice(0, 300)));

// Software rendering, and no event says "all is drawn".
const settle = seconds => page.waitForTimeout(seconds * 1000);

async function clickIfThere(locator) {
  return locator.first().click({ timeout: 3000 }).then(() => true, () => false);
}

// The series, loaded as a reader would load it: by the button in its viewport.
async function open(series) {
  await page.goto(`${plan.site}/viewer?StudyInstanceUIDs=${plan.study}&initialSeriesInstanceUID=${series}`);
  await page.waitForSelector('[data-cy="viewport-pane"] canvas, .viewport-element canvas', { timeout: 90000 });
  await settle(20);
  for (const text of ['Skip all', 'Skip']) await clickIfThere(page.getByText(text, { exact: true }));
  const loaded = await clickIfThere(page.getByText('LOAD', { exact: true }));
  await settle(15);
  return loaded;
}

// Turns the wheel over the image until the corner of the viewport names this image, e.g. "I:42 (42/64)".
async function scrollTo(plane) {
  await page.mouse.move(760, 420);
  for (let turn = 0; turn < 200; turn++) {
    const text = await page.getByText(/\(\d+\/\d+\)/).first().textContent().catch(() => '');
    const at = Number(/\((\d+)\//.exec(text ?? '')?.[1] ?? plane);
    if (at === plane) break;
    await page.mouse.wheel(0, at < plane ? 120 : -120);
    await settle(0.4);
  }
  await settle(3);
}

console.log('segmentation loaded:', await open(plan.series.segmentation));
await scrollTo(plan.image);
await page.screenshot({ path: plan.segmentationPicture });
console.log('report loaded:', await open(plan.series.report));
await page.screenshot({ path: plan.reportPicture });
console.log([...said].join('\n'));
await browser.close();
