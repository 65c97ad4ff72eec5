"""A pipeline that is not part of Wetread: found through the entry point group `wetread.pipelines`."""
