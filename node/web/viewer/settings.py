"""What we tell OHIF: where to read from, and nothing that would lead it elsewhere."""

import json

SCRIPT = """console.time("scriptToView");
window.PUBLIC_URL = "/";
window.config = {settings};
window.config.httpErrorHandler = error => {{ if (error.status === 401) location.reload(); }};
function browserImportFunction(name) {{ return import(name); }}
"""
"""What OHIF's own page says within itself, and that who is no longer logged in is led to the login."""


def make_settings(base: str) -> str:
    """Its app-config.js (window.config), for DICOMweb at the path `base` of the same origin.

    Sources that a link could name (configUrl, dicomjson, customizations) are not set up, so there are none.
    """
    source = {
        "friendlyName": "Wetread",
        "name": "wetread",
        "qidoRoot": base,
        "wadoRoot": base,
        "wadoUriRoot": base,
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "supportsReject": False,
        "dicomUploadEnabled": False,
        "singlepart": "bulkdata",
        "omitQuotationForMultipartRequest": False,
        "bulkDataURI": {"enabled": True},
    }
    settings = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "customizationService": {"ohif.tours": {"$set": []}},  # its tour lies over what was to be seen
        "showStudyList": True,
        "maxNumberOfWebWorkers": 3,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "strictZSpacingForVolumeViewport": True,
        "maxNumRequests": {"interaction": 20, "thumbnail": 5, "prefetch": 10},
        "investigationalUseDialog": {"option": "configure", "days": 30},
        "defaultDataSourceName": "wetread",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "wetread",
                "configuration": source,
            }
        ],
    }
    return SCRIPT.format(settings=json.dumps(settings))
