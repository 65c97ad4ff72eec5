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

// The series, loaded as a reader would load it: by the answer that its viewport asks for.
async function open(series, answer) {
  await page.goto(`${plan.site}/viewer?StudyInstanceUIDs=${plan.study}&initialSeriesInstanceUID=${series}`);
  await settle(30);
  await clickIfThere(page.getByText('Skip all', { exact: true }));
  const answered = await clickIfThere(page.getByText(answer, { exact: true }));
  await settle(15);
  return answered;
}

// Turns the wheel over the image until the corner of the viewport names this one: "I:18 (18/64)".
async function scrollTo(number) {
  await page.mouse.move(760, 420);
  for (let turn = 0; turn < 200; turn++) {
    const text = await page.getByText(/\(\d+\/\d+\)/).first().textContent();
    const at = Number(/\((\d+)\//.exec(text)[1]);
    if (at === number) break;
    await page.mouse.wheel(0, at < number ? 120 : -120);
    await settle(0.4);
  }
  await settle(3);
}

if (!(await open(plan.segmentation, 'LOAD'))) throw new Error('OHIF does not offer to load the segmentation');
await scrollTo(plan.image);
await page.screenshot({ path: plan.segmentationPicture });
if (!(await open(plan.report, 'Yes'))) throw new Error('OHIF does not offer to load the measurements');
await page.screenshot({ path: plan.reportPicture });
for (const text of said) console.error(text);
await browser.close();
