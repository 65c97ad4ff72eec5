-- Sends every series of images that has become stable to the Wetread node.
--
-- Only images: the Segmentation and the report that come back become stable series too, and without this guard they
-- would be sent to the node, which has no use for them. A new series is judged by its Modality (0008,0060).

local NODE = 'wetread'  -- the name under DicomModalities
local ROUTED = { CT = true, MR = true }

function OnStableSeries(seriesId, tags, metadata)
  if not ROUTED[tags['Modality']] then
    return
  end
  -- A job for the whole series uses one association. SendToModality() would take single instances only.
  local request = { Resources = { seriesId }, Asynchronous = true }
  RestApiPost('/modalities/' .. NODE .. '/store', DumpJson(request))
  print('series ' .. seriesId .. ' is on its way to ' .. NODE)
end

-- Orthanc does not repeat a failed transfer by itself; the job stays in its list, where it can be submitted again:
-- curl -X POST http://localhost:8042/jobs/ID/resubmit
function OnJobFailure(jobId)
  print('job ' .. jobId .. ' failed: is the node up? it can be submitted again by POST /jobs/' .. jobId .. '/resubmit')
end
